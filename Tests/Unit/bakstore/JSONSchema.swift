// The tables in docs/json.md, which describe the objects that --json writes, and a check of objects against these
// tables.

import Foundation
import Testing

@testable import bakstore

/// The tables of docs/json.md.
struct JSONSchema {
    /// The members of an object: for each name its type, and whether the member is optional.
    private struct Shape {
        var members: [String: (type: String, isOptional: Bool)] = [:]
    }

    /// For each type of object, its possible shapes.
    private var shapes: [String: [Shape]] = [:]

    /// The types of objects that have a table.
    var kinds: Set<String> { Set(shapes.keys) }

    init() throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let page = try String(contentsOf: root.appendingPathComponent("docs/json.md"), encoding: .utf8)
        for part in page.components(separatedBy: "\n### ").dropFirst() {
            let title = part.prefix { $0 != "\n" }.components(separatedBy: " of ")[0]
            let kinds = title.split(separator: "`").filter { !$0.contains(" ") }.map(String.init)
            var shape = Shape()
            for line in part.split(separator: "\n") where line.hasPrefix("| `") {
                let cells = line.split(separator: "|", omittingEmptySubsequences: false).map {
                    $0.trimmingCharacters(in: .whitespaces)
                }
                let isOptional = cells[2].hasSuffix("?")
                shape.members[String(cells[1].dropFirst().dropLast())] = (
                    isOptional ? String(cells[2].dropLast()) : cells[2], isOptional
                )
            }
            for kind in kinds { shapes[kind, default: []].append(shape) }
        }
    }

    /// Returns what is wrong with a line; nil if it is an object that matches one of its type's tables.
    func complaint(about line: String) -> String? {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
            return "no object: \(line)"
        }
        guard let kind = object["message_type"] as? String else { return "no message_type: \(line)" }
        var rest = object
        rest["message_type"] = nil
        return complaint(about: rest, as: kind).map { "\(kind): \($0)" }
    }

    private func complaint(about object: [String: Any], as kind: String) -> String? {
        guard let shapes = shapes[kind] else { return "there is no table for it" }
        let complaints = shapes.map { complaint(about: object, $0) }
        return complaints.contains { $0 == nil }
            ? nil : complaints.compactMap(\.self).joined(separator: "; or ")
    }

    private func complaint(about object: [String: Any], _ shape: Shape) -> String? {
        var members = shape.members
        if let (kind, _) = members.removeValue(forKey: "...") {
            members.merge(shapes[kind]?.first?.members ?? [:]) { own, _ in own }
        }
        var found: [String: [Any]] = [:]
        Self.flatten(object, "", members, &found)
        for (path, values) in found.sorted(by: { $0.key < $1.key }) {
            if let (type, _) = members[path] {
                for value in values { if let fault = fault(value, type) { return "\(path) \(fault)" } }
            } else if !isExact(path, members) {
                return "\(path) is in no table"
            }
        }
        for (path, member) in members where !member.isOptional && found[path] == nil {
            // Members of an array's elements may be missing, because the array may be empty.
            let isOfArray = path.contains("[]")
            if !isOfArray { return "\(path) is missing" }
        }
        return nil
    }

    /// Collects every value under its path, down to the paths that a table lists.
    private static func flatten(
        _ object: [String: Any], _ start: String, _ members: [String: (type: String, isOptional: Bool)],
        _ found: inout [String: [Any]]
    ) {
        for (name, value) in object {
            let path = start + name
            if members[path] != nil {
                found[path, default: []].append(value)
            } else if let inner = value as? [String: Any] {
                flatten(inner, path + ".", members, &found)
            } else if let array = value as? [Any], members.keys.contains(where: { $0.hasPrefix(path + "[]") })
            {
                for element in array {
                    if members[path + "[]"] != nil {
                        found[path + "[]", default: []].append(element)
                    } else if let inner = element as? [String: Any] {
                        flatten(inner, path + "[].", members, &found)
                    } else {
                        found[path + "[]", default: []].append(element)
                    }
                }
            } else {
                found[path, default: []].append(value)
            }
        }
    }

    /// True if the member has the exact bytes of another member, which is a path.
    private func isExact(_ path: String, _ members: [String: (type: String, isOptional: Bool)]) -> Bool {
        path.hasSuffix("_base64") && ["path", "paths"].contains(members[String(path.dropLast(7))]?.type)
    }

    private func fault(_ value: Any, _ type: String) -> String? {
        // Foundation uses one class for numbers and booleans, but the object knows its original type.
        let number = (value as? NSNumber).map { (value: $0, kind: String(cString: $0.objCType)) }
        let isBoolean = number?.kind == "c"
        let isRight: Bool
        switch type {
        case "string", "path": isRight = value is String
        case "time": isRight = (value as? String).map { $0.contains("T") || $0.hasPrefix("@") } ?? false
        case "id": isRight = (value as? String).map { $0.count == 32 && $0.allSatisfy(\.isHexDigit) } ?? false
        case "strings", "paths": isRight = value is [String]
        case "boolean": isRight = isBoolean
        case "integer": isRight = number != nil && !isBoolean && number?.kind != "d"
        case "number": isRight = number != nil && !isBoolean
        default: return (value as? [String: Any]).map { complaint(about: $0, as: type) } ?? "is no \(type)"
        }
        return isRight ? nil : "is no \(type): \(value)"
    }
}
