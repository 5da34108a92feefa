// Where programs lie: this one, and those that are built beside it.

import CommandOutcome
import Foundation
import Glibc

package enum ProgramFile {
    /// This program. Its file may have been replaced since it was started; the link in /proc leads to it still.
    package static var own: String {
        let link = "/proc/self/exe"
        guard let path = try? FileManager.default.destinationOfSymbolicLink(atPath: link), access(path, X_OK) == 0
        else { return link }
        return path
    }

    /// The program of this name that is built beside this one.
    ///
    /// - Throws: `.inputOutput`, with the command that builds it, when it is not there.
    package static func beside(_ name: String) throws(Failure) -> String {
        let path = (own as NSString).deletingLastPathComponent + "/" + name
        guard access(path, X_OK) == 0 else {
            throw Failure(
                .inputOutput,
                "\(path) is not there; build it as this program was built, by 'swift build --product \(name)', "
                    + "for a release with '-c release'")
        }
        return path
    }
}
