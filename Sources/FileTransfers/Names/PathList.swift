// A list of paths in a file, by which a command is told what it is about, or tells what has failed.

import CommandOutcome
import ErasureCode
import QuorumProtocol

/// Paths below a folder or prefix. In a file each ends with a zero byte, which no file's path has.
package struct PathList: Sendable, Equatable {
    /// One that ends with a slash stands for all below it, the empty one for all there is.
    private var named: Set<[UInt8]> = []
    /// The folders on the way to them, with a slash at their end.
    private var onTheWay: Set<[UInt8]> = []

    package init(_ paths: some Sequence<[UInt8]>) {
        for path in paths {
            named.insert(path)
            for slash in path.indices where path[slash] == UInt8(ascii: "/") {
                onTheWay.insert(Array(path[...slash]))
            }
        }
    }

    /// What a file has.
    ///
    /// - Throws: `.inputOutput` when it cannot be read, or its last path does not end with a zero byte, as in a file that
    ///   was cut off, or one of lines.
    package init(file path: [UInt8]) throws(Failure) {
        let name = path.readablePath.printable
        let bytes = try SourceFile(path: path).read()
        guard bytes.last ?? 0 == 0 else {
            throw Failure(.inputOutput, "\(name) is no list of paths: its last one does not end with a zero byte")
        }
        self.init(bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().map(Array.init))
    }

    /// Puts a list of paths in the place of a file, or writes it into a pipe or a device.
    ///
    /// - Returns: how many have a zero byte, as keys may, and are not in the list.
    /// - Throws: `.inputOutput`.
    package static func write(_ paths: [[UInt8]], to path: [UInt8]) throws(Failure) -> Int {
        let listed = paths.filter { !$0.contains(0) }
        var bytes: [UInt8] = []
        for path in listed { bytes += path + [0] }
        var sink = try NewFile.sink(path)
        do throws(Failure) {
            let written = bytes.withUnsafeBytes { bytes in
                Result { () throws(Failure) in try sink.append(bytes) }
            }
            try written.get()
        } catch {
            sink.discard()
            throw error
        }
        try sink.finish(modifiedMilliseconds: 0)
        return paths.count - listed.count
    }

    /// Whether a path is named, or is below one that is.
    package func names(_ path: [UInt8]) -> Bool {
        if named.contains(path) || named.contains([]) { return true }
        // What could not be looked at may turn out to be a folder: it is named without a slash.
        return path.indices.contains { end in
            path[end] == UInt8(ascii: "/")
                && (named.contains(Array(path[...end])) || named.contains(Array(path[..<end])))
        }
    }

    /// Whether something below a folder may be named. Its path ends with a slash.
    package func mayName(below folder: [UInt8]) -> Bool { onTheWay.contains(folder) || names(folder) }
}

extension SourceFile {
    /// All that is left of it.
    fileprivate func read() throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let piece = try read(sizeBytesMax: 1 << 20)
            guard piece.count > 0 else { return bytes }
            bytes += piece.array
        }
    }
}
