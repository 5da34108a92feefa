// What the servers of a cluster say of themselves, as people are told it in a terminal.

import ClusterFiles
import CommandOutcome
import QuorumClient
import QuorumProtocol
import QuorumWire
import ServerProcesses

extension ClusterCondition {
    /// Asks every server at once, as the client whose home this is.
    init(asking home: ClientHome, _ run: RunDirectory, timeoutMilliseconds: Int) async throws(Failure) {
        do {
            try await self.init(asking: home, timeoutMilliseconds: timeoutMilliseconds) { node in
                run.server(Int(node.rawValue)).map { Int($0.processID) }
            }
        } catch {
            throw Failure(.configuration, error.description)
        }
    }

    /// What people are told.
    var lines: [String] { servers.flatMap(\.lines) + groups.map(\.line) }
}

extension ClusterCondition.Server {
    fileprivate var lines: [String] {
        let head = "server \(number)  \(address)  " + (zone.map { "zone \($0)  " } ?? "")
        guard let status else {
            let running = process.map { " (its process \($0) runs here)" } ?? ""
            return [head + "not reachable\(running): \((problem ?? "").printable)"]
        }
        return [head + "\(works(status)); \(status.facts)" + (process.map { ", process \($0)" } ?? "")]
            + remarks.map { "          " + $0.printable }
    }

    private func works(_ status: ClusterCondition.Status) -> String {
        switch status.storage {
        case _ where state == .rolledBack:
            "ROLLED BACK: its store is an earlier state of what it was; stop it, move the store away, and rebuild it"
        case ServerStatus.StorageState.writable.name where status.rebuild?.answers == false:
            "REBUILDING: answers no requests yet"
        case ServerStatus.StorageState.writable.name: "works"
        case ServerStatus.StorageState.full.name: "FULL: takes no puts before there is space"
        default: "READ-ONLY: a write failed; look at its disk and start it again"
        }
    }
}

extension ClusterCondition.Status {
    fileprivate var facts: String {
        "\(usedBytes >> 20) MiB used, \(freeBytes >> 20) MiB free, release \(version.printable), epoch \(epoch), "
            + "certificate for \(certificateDaysLeft) days"
    }
}

extension ClusterCondition.Group {
    fileprivate var line: String {
        let members = servers.map(String.init).joined(separator: " ")
        let state =
            reachable < needed ? "; its objects are out of reach" : writable < needed ? "; it takes no puts" : ""
        return "group \(number) of servers \(members): \(reachable) work, \(needed) are needed" + state
    }
}
