// LocalStore+Staging: a batch writes each object when it is staged and starts its write-back. All objects become
// durable and visible together when the batch is published, so durability costs about one flush for a batch instead of
// one for each pack.

import BakCore
import BakStorage
import CLinux
import Glibc

/// A staged object: a file in `tmp/`, not visible yet.
struct StagedObject {
    let key: ObjectKey
    /// The file's name in `tmp/`.
    let temporary: String
    /// The file, open until it is durable.
    var file: Descriptor?
}

extension LocalStore {
    /// Makes an empty batch of files in `tmp/`.
    public func makeBatch(of session: ID128?) -> any StagedBatch { LocalBatch(self, session) }
}

/// The staged objects of one owner. Several threads may stage; one publishes.
private final class LocalBatch: StagedBatch, @unchecked Sendable {
    private let store: LocalStore
    private let session: ID128?
    private let monitor = Monitor()
    // Guarded by `monitor`:
    /// The staged objects.
    private var staged: [StagedObject] = []
    /// The failure that lost an object. If there is one, `publish` throws it.
    private var failure: StoreError?

    /// How many staged objects may have their file open.
    private static let openLimit = OpenFileBudget.share(64)

    init(_ store: LocalStore, _ session: ID128?) { (self.store, self.session) = (store, session) }

    deinit { abandon() }

    func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        do throws(StoreError) {
            let object = try store.writeTemporary(key, bytes, of: session)
            do throws(Errno) {
                try object.file!.writeBack(linux_SYNC_FILE_RANGE_WRITE)
            } catch {
                store.discard(object)
                throw StoreError(error, "write", key.description, isWriting: true)
            }
            if let oldest = monitor.locked({ add(object) }) { try synchronizeEarly(oldest) }
        } catch {
            monitor.locked { failure = error }
            throw error
        }
    }

    /// Adds an object. If too many files are open, removes the oldest object with an open file from the batch and
    /// returns it, for the caller to sync and close. Call it with the monitor held.
    private func add(_ object: StagedObject) -> StagedObject? {
        staged.append(object)
        let open = staged.indices.filter { staged[$0].file != nil }
        guard open.count > Self.openLimit else { return nil }
        return staged.remove(at: open[0])
    }

    private func synchronizeEarly(_ oldest: StagedObject) throws(StoreError) {
        var object = oldest
        do throws(StoreError) {
            try store.synchronize(object)
        } catch {
            store.discard(object)
            throw error
        }
        object.file = nil
        monitor.locked { staged.insert(object, at: 0) }
    }

    func publish() throws(StoreError) {
        let (objects, failure) = take()
        var published = 0
        do throws(StoreError) {
            if let failure { throw failure }
            try publishAll(objects, &published)
        } catch {
            for object in objects[published...] { store.discard(object) }
            throw error
        }
    }

    func abandon() {
        for object in take().objects { store.discard(object) }
    }

    /// Empties the batch.
    private func take() -> (objects: [StagedObject], failure: StoreError?) {
        monitor.locked {
            defer { (staged, failure) = ([], nil) }
            return (staged, failure)
        }
    }

    private func publishAll(_ objects: [StagedObject], _ published: inout Int) throws(StoreError) {
        var waiting = objects
        // Write the data of all files first, so that each sync finds little left to wait for.
        for object in waiting {
            guard let file = object.file else { continue }
            do throws(Errno) {
                try file.writeBack(
                    linux_SYNC_FILE_RANGE_WAIT_BEFORE | linux_SYNC_FILE_RANGE_WRITE
                        | linux_SYNC_FILE_RANGE_WAIT_AFTER)
            } catch {
                throw StoreError(error, "write", object.key.description, isWriting: true)
            }
        }
        for index in waiting.indices where waiting[index].file != nil {
            try store.synchronize(waiting[index])
            waiting[index].file = nil
        }
        var folders: [ObjectKey: Descriptor] = [:]
        var openFolders: [Substring: Descriptor] = [:]
        for object in waiting {
            let name = LocalStore.folder(of: object.key)[...]
            if openFolders[name] == nil {
                let folder = try store.openFolder(of: object.key)
                openFolders[name] = folder
                folders[object.key] = folder
            }
        }
        for object in waiting {
            guard let folder = openFolders[LocalStore.folder(of: object.key)[...]] else { continue }
            guard try store.publish(object, in: folder) == .named else {
                throw StoreError(Errno(code: EEXIST), "store", object.key.description)
            }
            published += 1
        }
        try store.synchronizeFolders(folders)
    }
}

// MARK: - One object

extension LocalStore {
    /// Writes `bytes` to a new file in `tmp/` that belongs to `session`.
    func writeTemporary(
        _ key: ObjectKey, _ bytes: UnsafeRawBufferPointer, of session: ID128?
    ) throws(StoreError) -> StagedObject {
        do throws(Errno) {
            let folder = try temporaries()
            let (name, file) = try Temporary.create(in: folder.number, of: session)
            sharing().apply(to: file, isFolder: false)
            do throws(Errno) {
                try writeAll(file.number, bytes)
            } catch {
                unlinkat(folder.number, name, 0)
                throw error
            }
            return StagedObject(key: key, temporary: name, file: file)
        } catch {
            throw failure(error, "write", key.description, isWriting: true)
        }
    }

    /// Stores an object once more if its temporary was removed before it got the name. That is safe: a removed file
    /// cannot take the name later.
    func againIfRemoved(_ store: () throws(StoreError) -> PutOutcome) throws(StoreError) -> PutOutcome {
        do throws(StoreError) {
            return try store()
        } catch {
            guard error.kind == .notFound else { throw error }
            return try store()
        }
    }

    /// Makes an object's content durable and closes its file. A failure is final: afterwards the kernel may count lost
    /// pages as clean, so a second sync could succeed and mean nothing.
    func synchronize(_ object: StagedObject) throws(StoreError) {
        guard let file = object.file else { return }
        do throws(Errno) {
            do throws(Errno) {
                try system { fsync(file.number) }
            } catch {
                // A medium that cannot sync one file may be able to sync all, or may write at once anyway.
                guard Descriptor.lacksSync(error) else { throw error }
                _ = syncfs(file.number)
            }
            try file.close()
        } catch {
            throw StoreError(error, "sync", object.key.description, isWriting: true)
        }
    }

    /// Removes an object's temporary if it still exists.
    func discard(_ object: StagedObject) {
        guard let folder = try? temporaries() else { return }
        unlinkat(folder.number, object.temporary, 0)
    }
}
