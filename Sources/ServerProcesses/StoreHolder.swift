// Which process has a store open, as the system knows it: that does not depend on any file that may be lost, or that a
// full disk has no room for.

import Foundation
import Glibc

enum StoreHolder {
    /// The server that holds the lock of the store in a home.
    ///
    /// - Returns: nil when nobody holds it, or somebody who does not run a home: another program that has opened the
    ///   store is nobody's to stop.
    static func process(ofHome home: String) -> ProcessStamp? {
        let path = home + "/store/lock"
        var lock = stat()
        guard stat(path, &lock) == 0,
            let table = try? String(contentsOfFile: "/proc/locks", encoding: .utf8)
        else { return nil }
        for line in table.split(separator: "\n") {
            // "1: FLOCK  ADVISORY  WRITE 8175 fe:00:12345 0 EOF"; who waits for a lock has "->" before its kind.
            let fields = line.split(separator: " ")
            guard fields.count >= 6, fields[1] == "FLOCK", let processID = pid_t(fields[4]), processID > 1,
                fields[5].split(separator: ":").last.flatMap({ UInt64($0) }) == UInt64(lock.st_ino),
                // The table's device is not what `stat` tells on every file system, so the process is asked.
                holds(processID, lock), runsHome(processID)
            else { continue }
            return ProcessStamp(of: processID)
        }
        return nil
    }

    private static func holds(_ processID: pid_t, _ lock: stat) -> Bool {
        let directory = "/proc/\(processID)/fd"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.contains { name in
            var status = stat()
            return stat("\(directory)/\(name)", &status) == 0 && status.st_dev == lock.st_dev
                && status.st_ino == lock.st_ino
        }
    }

    private static func runsHome(_ processID: pid_t) -> Bool {
        let arguments = FileManager.default.contents(atPath: "/proc/\(processID)/cmdline") ?? Data()
        return arguments.split(separator: 0).contains { $0 == Data("--home".utf8) || $0.starts(with: "--home=".utf8) }
    }
}
