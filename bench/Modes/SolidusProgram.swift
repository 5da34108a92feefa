// Which `solidus` a benchmark runs its servers with.

import Foundation
import Glibc

enum SolidusProgram {
    /// The program named, or the one beside this one.
    static func path(_ named: String?) throws -> String {
        let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let path = named ?? (own as NSString).deletingLastPathComponent + "/solidus"
        guard access(path, X_OK) == 0 else { throw BenchmarkError.programMissing(path: path) }
        return path
    }
}
