// Staging: objects are written and sent on their way to the medium as they come, and become durable and
// visible together at a barrier, so that durability costs one flush a stage and not one a pack.

import BakCore
import BakStorage
import CLinux
import Glibc

/// An object on its way: a file in `tmp/`, invisible.
struct StagedObject {
    let key: ObjectKey
    /// The file's name in `tmp/`.
    let temporary: String
    /// The file, open while it is not yet durable.
    var file: Descriptor?
}

extension LocalStore {
    /// How many staged objects may wait with their file open.
    private static let openStagedLimit = OpenFileBudget.share(64)

    public func stage(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        let object = try writeTemporary(key, bytes)
        do throws(Errno) {
            try writeBack(object.file!, linux_SYNC_FILE_RANGE_WRITE)
        } catch {
            discard(object)
            throw StoreError(error, "write", key.description, isWriting: true)
        }
        if let oldest = monitor.locked({ addStaged(object) }) { try synchronizeEarly(oldest) }
    }

    /// Adds an object; takes out the oldest unsynced one when too many wait. Under the lock.
    private func addStaged(_ object: StagedObject) -> StagedObject? {
        staged.append(object)
        let open = staged.indices.filter { staged[$0].file != nil }
        guard open.count > Self.openStagedLimit else { return nil }
        syncingEarly += 1
        return staged.remove(at: open[0])
    }

    private func synchronizeEarly(_ oldest: StagedObject) throws(StoreError) {
        var object = oldest
        var failure: StoreError?
        do throws(StoreError) {
            try synchronize(object)
            object.file = nil
        } catch {
            discard(object)
            failure = error
        }
        monitor.locked {
            if let failure { stagingFailure = failure } else { staged.insert(object, at: 0) }
            syncingEarly -= 1
            monitor.signalAll()
        }
        if let failure { throw failure }
    }

    public func publishStaged() throws(StoreError) {
        // One thread publishes at a time: who finds nothing staged must not return before the one who
        // took it has made it durable.
        let (objects, failure) = monitor.locked {
            while isPublishing || syncingEarly > 0 { monitor.wait() }
            isPublishing = true
            defer {
                staged = []
                stagingFailure = nil
            }
            return (staged, stagingFailure)
        }
        defer {
            monitor.locked {
                isPublishing = false
                monitor.signalAll()
            }
        }
        var published = 0
        do throws(StoreError) {
            if let failure { throw failure }
            try publishAll(objects, &published)
        } catch {
            for object in objects[published...] { discard(object) }
            throw error
        }
    }

    private func publishAll(_ objects: [StagedObject], _ published: inout Int) throws(StoreError) {
        var waiting = objects
        // The data of all of them first: each sync after that finds little left to wait for.
        for object in waiting {
            guard let file = object.file else { continue }
            do throws(Errno) {
                try writeBack(
                    file,
                    linux_SYNC_FILE_RANGE_WAIT_BEFORE | linux_SYNC_FILE_RANGE_WRITE
                        | linux_SYNC_FILE_RANGE_WAIT_AFTER)
            } catch {
                throw StoreError(error, "write", object.key.description, isWriting: true)
            }
        }
        for index in waiting.indices where waiting[index].file != nil {
            try synchronize(waiting[index])
            waiting[index].file = nil
        }
        var folders: [ObjectKey: Descriptor] = [:]
        var openFolders: [Substring: Descriptor] = [:]
        for object in waiting {
            let name = Self.folder(of: object.key)[...]
            if openFolders[name] == nil {
                let folder = try openFolder(of: object.key)
                openFolders[name] = folder
                folders[object.key] = folder
            }
        }
        for object in waiting {
            guard let folder = openFolders[Self.folder(of: object.key)[...]] else { continue }
            guard try publish(object, in: folder) == .created else {
                throw StoreError(Errno(code: EEXIST), "publish", object.key.description)
            }
            published += 1
        }
        try synchronizeFolders(folders)
    }

    /// Gives up everything staged.
    func abandonStaged() {
        for object in staged { discard(object) }
        staged = []
    }
}

// MARK: - One object

extension LocalStore {
    /// Writes `bytes` to a new file in `tmp/`.
    func writeTemporary(_ key: ObjectKey, _ bytes: UnsafeRawBufferPointer) throws(StoreError) -> StagedObject
    {
        do throws(Errno) {
            let folder = try temporaries()
            let (name, file) = try Temporary.create(
                in: folder.number, of: monitor.locked { session })
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

    /// Stores an object once more if what was written for it was removed before it had its name: the content is at hand,
    /// and what is removed cannot take the name later.
    func againIfRemoved(_ store: () throws(StoreError) -> PutOutcome) throws(StoreError) -> PutOutcome {
        do throws(StoreError) {
            return try store()
        } catch {
            guard error.kind == .notFound else { throw error }
            return try store()
        }
    }

    /// Starts or awaits the write-back of a file. A file system without it is no failure; lost data is.
    private func writeBack(_ file: Descriptor, _ flags: Int) throws(Errno) {
        do throws(Errno) {
            try system { sync_file_range(file.number, 0, 0, UInt32(flags)) }
        } catch {
            if error.isFull || error.code == EIO { throw error }
        }
    }

    /// Makes an object's content durable and closes its file. A failure is final: the kernel may count
    /// lost pages as clean after it, so that a second sync would succeed and mean nothing.
    func synchronize(_ object: StagedObject) throws(StoreError) {
        guard let file = object.file else { return }
        do throws(Errno) {
            do throws(Errno) {
                try system { fsync(file.number) }
            } catch {
                // A medium that knows no such call for a file may know it for all of them, or writes at once.
                guard Descriptor.lacksSync(error) else { throw error }
                _ = syncfs(file.number)
            }
            try file.close()
        } catch {
            throw StoreError(error, "sync", object.key.description, isWriting: true)
        }
    }

    /// Removes an object's temporary, if it still is there.
    func discard(_ object: StagedObject) {
        guard let folder = try? temporaries() else { return }
        unlinkat(folder.number, object.temporary, 0)
    }
}
