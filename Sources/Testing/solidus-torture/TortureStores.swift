// Stores that are lost, or put back to an earlier state, and what an operator does about it (docs/operations.md,
// Rebuilding a server): on the disk, and with the command that people run.

import ArgumentParser
import CProcessControl
import CommandOutcome
import Foundation
import Glibc
import ObjectStorage
import QuorumServer
import QuorumTransport
import ServerProcesses

/// In which way a server loses its store.
enum StoreLoss: String, CaseIterable, ExpressibleByArgument {
    case wipe
    case rollBack = "roll-back"
}

/// The stores of servers that do not run, and an earlier state of each.
struct TortureStores {
    private let location: ClusterLocation

    init(_ location: ClusterLocation) { self.location = location }

    private func store(_ index: Int) -> String { location.homes[index] + "/store" }
    private func earlier(_ index: Int) -> String { location.homes[index] + "/store.earlier" }
    private func rebuildFile(_ index: Int) -> String { location.homes[index] + "/rebuild.json" }

    /// How far a server is that begins anew; nil when it has all that others have.
    func phase(_ index: Int) -> RebuildMark.Phase? { RebuildMark(path: rebuildFile(index))?.phase }

    // MARK: Earlier states

    func hasEarlier(_ index: Int) -> Bool { access(earlier(index), F_OK) == 0 }

    /// Copies the store as it is now.
    func copy(_ index: Int) throws(Failure) {
        try change(earlier(index)) {
            try remove(earlier(index))
            try FileManager.default.copyItem(atPath: store(index), toPath: earlier(index))
        }
    }

    func wipe(_ index: Int) throws(Failure) { try change(store(index)) { try remove(store(index)) } }

    /// Moves the store to where its earlier state was: somebody finds it again.
    func setAside(_ index: Int) throws(Failure) {
        try change(store(index)) {
            try remove(earlier(index))
            try FileManager.default.moveItem(atPath: store(index), toPath: earlier(index))
        }
    }

    /// Puts the earlier state in the store's place.
    ///
    /// - Returns: whether it is of an earlier life.
    func putBack(_ index: Int) throws(Failure) -> Bool {
        let lives = [incarnation(store(index)), incarnation(earlier(index))]
        guard let now = lives[0], let then = lives[1] else {
            throw Failure(.inputOutput, "\(store(index)) or \(earlier(index)) is no store")
        }
        try change(store(index)) {
            try remove(store(index))
            try FileManager.default.moveItem(atPath: earlier(index), toPath: store(index))
        }
        return then < now
    }

    func removeEarlier() {
        for index in location.homes.indices { try? remove(earlier(index)) }
    }

    private func incarnation(_ path: String) -> UInt64? { try? ObjectStore.incarnation(inDirectory: path) }

    private func remove(_ path: String) throws {
        if access(path, F_OK) == 0 { try FileManager.default.removeItem(atPath: path) }
    }

    private func change(_ path: String, _ body: () throws -> Void) throws(Failure) {
        do { try body() } catch { throw Failure(.inputOutput, "\(path): \(error)") }
    }

    // MARK: Beginning anew

    /// Runs `solidus server rebuild` to its end.
    ///
    /// - Parameter milliseconds: after so long it is killed, unless it has ended; nil: it is not.
    /// - Returns: how it ended, with what it said.
    func rebuild(_ index: Int, killedAfter milliseconds: Int? = nil) throws(Failure) -> (end: ProcessEnd, text: String)
    {
        let log = "\(location.run.path)/rebuild-\(index).log"
        let file = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard file >= 0 else { throw Failure(.inputOutput, "\(log): \(systemText(errno))") }
        defer { close(file) }
        let words: [String] = ["solidus", "server", "rebuild", "--home", location.homes[index]]
        let vector = words.map { strdup($0) } + [nil]
        defer { vector.forEach { free($0) } }
        let process = process_control_spawn(try ProgramFile.beside("solidus"), vector, file, file, true)
        guard process > 0 else {
            throw Failure(.inputOutput, "'solidus server rebuild' cannot be started: \(systemText(errno))")
        }
        if let milliseconds {
            usleep(UInt32(milliseconds) * 1000)
            kill(process, SIGKILL)
        }
        var status: Int32 = 0
        while waitpid(process, &status, 0) != process {}
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        return (ProcessEnd(waitStatus: status), text.trimmingCharacters(in: .whitespacesAndNewlines))
    }
}
