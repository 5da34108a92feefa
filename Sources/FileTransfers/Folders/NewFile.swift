// A file that appears, or takes another one's place, only once all of its bytes are written and synced.

import CommandOutcome
import DurableFiles
import ErasureCode
import Fingerprint
import Glibc
import QuorumProtocol
import QuorumTransport

/// Where the bytes of a download go, in order.
package protocol ByteSink {
    mutating func append(_ bytes: UnsafeRawBufferPointer) throws(Failure)
    /// All bytes are there.
    ///
    /// - Parameter modifiedMilliseconds: the object's time of modification.
    mutating func finish(modifiedMilliseconds: UInt64) throws(Failure)
    /// Nothing more comes, and what is there is worth nothing.
    mutating func discard()
}

/// A file under another name beside its own until it is finished.
struct NewFile: ByteSink {
    private let name: String
    private let directory: Int32
    private let descriptor: Int32
    private let temporary: [CChar]
    private let target: [CChar]
    /// By which the temporary file is known to `TemporaryFiles`; nil for one that is kept.
    private let temporaryPath: [CChar]?
    /// Whether what an earlier download of another version had left was removed.
    let replacesOther: Bool
    /// Blocks of zeros are not written, but left out.
    private let isSparse: Bool
    /// That of common file systems.
    private static let holeSizeBytes = 4096

    /// - Parameters:
    ///   - directory: a descriptor of the file's directory, which becomes this file's to close.
    ///   - directoryPath: its path.
    ///   - lastName: the file's name in it.
    ///   - mode: exact permission bits; nil for those that the process's mask leaves of 0666.
    ///   - version: what the bytes are of, if they are to stay when not all of them come, and those that are there are
    ///     to be gone on with.
    ///   - isSparse: leaves holes where there are blocks of zeros.
    ///   - name: for people.
    init(
        in directory: Int32, path directoryPath: [UInt8], called lastName: [UInt8], mode: mode_t?,
        keeping version: Timestamp? = nil, isSparse: Bool = false, name: String
    ) throws(Failure) {
        self.isSparse = isSparse
        let stem = version.map { _ in "\(Digest256.sha256(lastName))".prefix(16) + "-" }
        let unique = version.map { "\(Digest256.sha256(Array($0.fullName.utf8)))".prefix(16) }
        let kept = stem.map { TemporaryName.make(String($0 + (unique ?? ""))) }
        let temporary = Array((kept ?? TemporaryName.make()).utf8)
        self.name = name
        self.directory = directory
        self.temporary = temporary.zeroTerminated
        target = lastName.zeroTerminated
        let path = (directoryPath + [UInt8(ascii: "/")] + temporary).zeroTerminated
        temporaryPath = version == nil ? path : nil
        if version == nil { TemporaryFiles.add(path) }
        replacesOther = stem.map { Self.removeOthers(String($0), but: temporary, directory, directoryPath) } ?? false
        let isNew = version == nil ? O_EXCL : 0
        descriptor = openat(
            directory, self.temporary, O_RDWR | O_CREAT | isNew | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else {
            let code = errno
            TemporaryFiles.forget(path)
            close(directory)
            throw Self.failure(name, code)
        }
        if version != nil, let reason = unusable() {
            close(descriptor)
            close(directory)
            throw Failure(.inputOutput, "\(name): \(reason)")
        }
        if let mode, fchmod(descriptor, mode) != 0 {
            let code = errno
            discard()
            throw Self.failure(name, code)
        }
    }

    // MARK: What an earlier download left

    /// Why what lies under the name that is kept cannot be gone on with. The name can be guessed: where others may write
    /// into the directory, a file of theirs must not become ours.
    private func unusable() -> String? {
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { return "it is being written by another download" }
        var (own, named) = (stat(), stat())
        guard fstat(descriptor, &own) == 0, fstatat(directory, temporary, &named, AT_SYMLINK_NOFOLLOW) == 0,
            own.st_ino == named.st_ino, own.st_dev == named.st_dev
        else { return "another download has just finished it" }
        guard own.st_mode & S_IFMT == S_IFREG, own.st_uid == geteuid(), own.st_nlink == 1 else {
            return "what lies beside it for an earlier download to go on with is no file of this user's"
        }
        return nil
    }

    /// Removes what downloads of other versions into the same file have left.
    private static func removeOthers(
        _ stem: String, but own: [UInt8], _ directory: Int32, _ directoryPath: [UInt8]
    ) -> Bool {
        let prefix = Array((TemporaryName.prefix + stem).utf8)
        guard let entries = opendir(directoryPath.zeroTerminated) else { return false }
        defer { closedir(entries) }
        var hasRemoved = false
        while let entry = readdir(entries) {
            let bytes = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard bytes.starts(with: prefix), bytes != own else { continue }
            if unlinkat(directory, bytes.zeroTerminated, 0) == 0 { hasRemoved = true }
        }
        return hasRemoved
    }

    /// How many bytes are there.
    func sizeBytes() throws(Failure) -> UInt64 {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure(name, errno) }
        return UInt64(clamping: status.st_size)
    }

    /// Some of the bytes that are there.
    func read(_ range: Range<UInt64>) throws(Failure) -> SharedBytes {
        try SharedBytes(count: Int(range.upperBound - range.lowerBound)) { target throws(Failure) in
            var done = 0
            while done < target.count {
                let count = pread(
                    descriptor, target.baseAddress! + done, target.count - done, off_t(range.lowerBound) + off_t(done))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw Self.failure(name, count == 0 ? EIO : errno) }
                done += count
            }
        }
    }

    /// Goes on behind these bytes, and forgets those that follow.
    func cut(after count: UInt64) throws(Failure) {
        guard ftruncate(descriptor, off_t(count)) == 0, lseek(descriptor, off_t(count), SEEK_SET) >= 0 else {
            throw Self.failure(name, errno)
        }
    }

    // MARK: Writing

    func append(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard isSparse else { return try write(bytes) }
        var start = 0
        for (end, isHole) in Self.runs(bytes) {
            if isHole {
                guard lseek(descriptor, off_t(end - start), SEEK_CUR) >= 0 else { throw Self.failure(name, errno) }
            } else {
                try write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
            }
            start = end
        }
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        if let code = OpenFile.write(descriptor, bytes) { throw Self.failure(name, code) }
    }

    /// Where runs of blocks of zeros end, and those of others.
    private static func runs(_ bytes: UnsafeRawBufferPointer) -> [(end: Int, isHole: Bool)] {
        var runs: [(end: Int, isHole: Bool)] = []
        for start in stride(from: 0, to: bytes.count, by: holeSizeBytes) {
            let block = bytes[start..<min(start + holeSizeBytes, bytes.count)]
            let isHole = block.count == holeSizeBytes && block.allSatisfy { $0 == 0 }
            if runs.last?.isHole == isHole { runs.removeLast() }
            runs.append((block.endIndex, isHole))
        }
        return runs
    }

    func finish(modifiedMilliseconds: UInt64) throws(Failure) {
        // A file that ends in a hole has its length from nothing else.
        let hasLength = !isSparse || ftruncate(descriptor, lseek(descriptor, 0, SEEK_CUR)) == 0
        OpenFile.setModified(descriptor, milliseconds: modifiedMilliseconds)
        guard hasLength, fsync(descriptor) == 0, renameat(directory, temporary, directory, target) == 0 else {
            let code = errno
            discard()
            throw Self.failure(name, code)
        }
        if let temporaryPath { TemporaryFiles.forget(temporaryPath) }
        let isDurable = fsync(directory) == 0
        let code = errno
        close(descriptor)
        close(directory)
        guard isDurable else { throw Self.failure(name, code) }
    }

    func discard() {
        if let temporaryPath {
            unlinkat(directory, temporary, 0)
            TemporaryFiles.forget(temporaryPath)
        }
        close(descriptor)
        close(directory)
    }

    private static func failure(_ name: String, _ code: Int32) -> Failure {
        Failure(.inputOutput, "\(name): \(systemText(code))")
    }
}

/// A pipe or a device, which cannot be renamed onto, or standard output.
struct OpenOutput: ByteSink {
    let descriptor: Int32
    let name: String
    let isOwned: Bool

    func append(_ bytes: UnsafeRawBufferPointer) throws(Failure) {
        guard let code = writeAll(descriptor, bytes) else { return }
        if code == EPIPE, descriptor == STDOUT_FILENO { Standard.endByBrokenPipe() }
        throw Failure(.inputOutput, "\(name): \(systemText(code))")
    }

    func finish(modifiedMilliseconds: UInt64) { discard() }

    func discard() { if isOwned { close(descriptor) } }
}

extension NewFile {
    /// The sink for a file that people name by its path: a pipe or device is written to; what a symbolic link points to
    /// is replaced, not the link.
    ///
    /// - Parameters:
    ///   - version: what the bytes are of, if they are to stay when not all of them come.
    ///   - isSparse: leaves holes in a file where there are blocks of zeros.
    static func sink(
        _ path: [UInt8], keeping version: Timestamp? = nil, isSparse: Bool = false
    ) throws(Failure) -> any ByteSink {
        let name = path.readablePath.printable
        var status = stat()
        let exists = stat(path.zeroTerminated, &status) == 0
        if exists, status.st_mode & S_IFMT != S_IFREG {
            guard status.st_mode & S_IFMT != S_IFDIR else { throw failure(name, EISDIR) }
            let descriptor = open(path.zeroTerminated, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw failure(name, errno) }
            return OpenOutput(descriptor: descriptor, name: name, isOwned: true)
        }
        let target = exists ? OpenFile.resolved(path) : path
        let slash = target.lastIndex(of: UInt8(ascii: "/"))
        let directoryPath = slash.map { $0 == 0 ? [UInt8(ascii: "/")] : Array(target[..<$0]) } ?? [UInt8(ascii: ".")]
        let lastName = slash.map { Array(target[($0 + 1)...]) } ?? target
        guard !lastName.isEmpty else { throw failure(name, exists ? EISDIR : ENOENT) }
        let directory = open(directoryPath.zeroTerminated, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw failure(name, errno) }
        return try NewFile(
            in: directory, path: directoryPath, called: lastName, mode: exists ? status.st_mode & 0o777 : nil,
            keeping: version, isSparse: isSparse, name: name)
    }
}
