// What is demanded of servers once nothing harms them any more: that each serves and has all that it should.

import ClusterFiles
import CommandOutcome
import QuorumClient
import QuorumProtocol
import QuorumWire

/// Asks the servers how they are until they are well.
struct TortureHealing {
    /// For how long nothing may be open: what a server that was away has missed it learns a moment later.
    private static let calm = Duration.seconds(3)
    private static let pause = Duration.milliseconds(500)
    private static let answerMilliseconds = 5000

    let clusterDirectory: String
    let client: String
    /// Of whom nothing is demanded. What it keeps to itself may keep others from being well, but from nothing else.
    let liar: Int?

    /// Waits until nothing is open.
    ///
    /// - Returns: how long that took; nil, with what is open, when it is not so in time.
    func wait(_ limit: Duration) async -> (took: Duration?, open: [String]) {
        let start = ContinuousClock.now
        var calmSince: ContinuousClock.Instant?
        while true {
            let open = await open()
            let now = ContinuousClock.now
            if !open.isEmpty {
                calmSince = nil
                if now - start > limit { return (nil, open) }
            } else if let calmSince {
                if now - calmSince >= Self.calm { return (calmSince - start, []) }
            } else {
                calmSince = now
            }
            try? await Task.sleep(for: Self.pause)
        }
    }

    /// What keeps each server from being as it should be.
    private func open() async -> [String] {
        do {
            // The lists may have changed.
            let home = try ClientHome(clusterDirectory: clusterDirectory, client: client)
            let answers = try await ClusterHealth.ask(home, timeoutMilliseconds: Self.answerMilliseconds)
            return answers.sorted { $0.key < $1.key }.filter { Int($0.key.rawValue) != liar }.flatMap { node, answer in
                open(answer).map { "\(node) \($0)" }
            }
        } catch {
            return ["the servers cannot be asked: \(error)"]
        }
    }

    private func open(_ answer: ClusterHealth.Answer) -> [String] {
        let status: ServerStatus
        switch answer {
        case .answer(let said): status = said
        case .silent(let why): return ["does not say how it is: \(why)"]
        case .unreachable(let error): return ["cannot be reached: \(error)"]
        }
        var open: [String] = []
        if status.storage != .writable { open.append("takes no changes: its storage is \(status.storage)") }
        switch status.rebuild.phase {
        case .listing:
            open.append(
                "answers no requests: \(status.rebuild.slotsDone) of \(status.rebuild.slotsAll) slots are listed to it")
        case .healing where liar == nil:
            open.append(
                "is not well: \(status.rebuild.serversMissing) servers have yet to tell it all, "
                    + "\(status.rebuild.openVersions) versions are open")
        case .rolledBack: open.append("has a store that is an earlier state of what it was")
        case .healing, .none: break
        }
        if status.wants > 0 {
            open.append("lacks something of \(status.wants) objects, \(status.failedWants) of which cannot be had now")
        }
        return open
    }
}
