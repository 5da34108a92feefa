import QuorumTransport

/// Why a file could not be stored, or an object not be written to a file. Nothing was stored, or the file is as it was.
public enum ObjectFileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The system refused; its errno.
    case system(path: String, code: Int32)
    /// There is a folder, a pipe or a device and no file.
    case notAFile(path: String)
    /// The file is another one than at first, or was written, while it was read.
    case changed(path: String)

    public var description: String {
        switch self {
        case .system(let path, let code): "\(path): \(systemText(code))"
        case .notAFile(let path): "\(path) is not a file"
        case .changed(let path): "\(path) was changed while it was read; nothing was stored"
        }
    }
}
