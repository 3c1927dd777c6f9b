// Message: something that a command says, both as lines for people and as an object for programs. docs/json.md
// describes the members of each kind, and tests compare the two.
//
// Always holds: an object has a `message_type` of `Message.Kind`. Only the objects that `cat` prints have none: they
// are parts of the repository, not messages.

/// Lines for people and an object for programs.
struct Message {
    /// The `message_type` of an object.
    enum Kind: String, CaseIterable, Sendable {
        // While a command runs.
        case status
        case verboseStatus = "verbose_status"
        // About an item or a condition, on standard error.
        case note, error
        case exitError = "exit_error"
        // Items that a backup leaves out, or that changed while it read them.
        case excluded, changed
        // What a check or a repair finds.
        case damage, unreadable, unsupported, harmless, unused
        case affectedFile = "affected_file"
        case affectedSnapshot = "affected_snapshot"
        case salvaged
        case lostFile = "lost_file"
        case lostSnapshot = "lost_snapshot"
        case replaced
        case broughtBack = "brought_back"
        // What becomes of snapshots.
        case copied, skipped, renewed
        case forgetGroup = "forget_group"
        case takenBack = "taken_back"
        case vouchedFile = "vouched_file"
        // What commands print as their results.
        case snapshot, node, group, stats, initialized, version, help, key, benchmark, file
        case keyAdded = "key_added"
        case keyRemoved = "key_removed"
        case keyChanged = "key_changed"
        case keyCached = "key_cached"
        case keyUncached = "key_uncached"
        // At the end.
        case summary
    }

    var kind: Kind
    /// The lines for people; empty if people get a table or nothing.
    var lines: [String] = []
    /// Writes the object's members after `message_type`.
    var members: (inout JSONWriter) -> Void

    init(_ kind: Kind, _ lines: String..., members: @escaping (inout JSONWriter) -> Void) {
        (self.kind, self.lines, self.members) = (kind, lines, members)
    }

    /// The object as a line with its newline.
    var json: [UInt8] { Self.json(kind, members) }

    /// Returns the JSON object of a message that people get in another form.
    static func json(_ kind: Kind, _ members: (inout JSONWriter) -> Void) -> [UInt8] {
        JSONWriter.line { json in
            json.member("message_type", kind.rawValue)
            members(&json)
        }
    }
}

extension Message {
    /// Makes a note.
    static func note(_ line: String) -> Message {
        Message(.note, line) { $0.member("message", line) }
    }

    /// Makes an error.
    static func error(_ line: String) -> Message {
        Message(.error, line) { json in json.object("error") { $0.member("message", line) } }
    }

    /// Makes an error about an item.
    ///
    /// - Parameters:
    ///   - reason: the text that the error has in common with others.
    ///   - during: the work, such as `archival`.
    static func error(_ line: String, reason: String, during: String, item: [UInt8]) -> Message {
        Message(.error, line) { json in
            json.object("error") { $0.member("message", reason) }
            json.member("during", during)
            json.member("item", bytes: item)
        }
    }

    /// Says what was done with an item.
    static func action(
        _ action: String, _ item: [UInt8], _ line: String,
        members: @escaping (inout JSONWriter) -> Void = { _ in }
    ) -> Message {
        Message(.verboseStatus, line) { json in
            json.member("action", action)
            json.member("item", bytes: item)
            members(&json)
        }
    }

    /// Makes a finding about an object of the repository.
    static func finding(_ kind: Kind, object: String, _ line: String, reason: String) -> Message {
        Message(kind, line) { json in
            json.member("object", object)
            json.member("reason", reason)
        }
    }
}
