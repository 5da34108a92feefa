// solidus server check

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Dispatch
import FileTransfers
import ObjectStorage
import ProtocolStorage
import QuorumProtocol
import QuorumServer
import Synchronization

struct ServerCheck: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Read everything that a server has stored, and say what is damaged or missing.",
        discussion: """
            The server must not run. Opening its store finishes what a crash interrupted, and makes an index that is missing \
            or damaged again from the journal; nothing else is changed. Every record, description and fragment is read and \
            compared with its checksum and its hash, and what clients are charged with what is stored.

            What is damaged is given back by the other servers: the server notes it as lost once it runs and meets it, and \
            whoever writes the object again makes it good. Of a version that is committed and whose fragments never came \
            it is said that they are missing; that is no damage. Fails with exit code 11 when anything is damaged.

            Example: solidus server check --home demo/servers/0
            """)

    @Option(help: "The server's home, DIR/servers/NUMBER.", completion: .directory)
    var home: String
    @Option(help: "How many objects are looked at side by side.")
    var jobs = 4
    @Option(help: "How many of the damaged and missing parts are named.")
    var names = 1000
    @OptionGroup var report: ReportOptions

    func validate() throws {
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs must be from 1 to 64.") }
        guard names >= 0 else { throw ValidationError("--names must not be negative.") }
    }

    private struct Outcome: Encodable {
        let server: Int
        let index: String
        let objects: Int
        let versions: Int
        let fragments: Int
        let fragmentBytes: UInt64
        let damagedCount: Int
        let missingCount: Int
        let damaged: [String]
        let missing: [String]
    }

    func run() async throws {
        let home = try ServerHome(path: home)
        let configuration = ServerConfiguration(home: home)
        let store = try open(configuration)
        let flaws = FlawList(namesMax: names)
        let check = StoreCheck(store, of: home.node, parameters: home.cluster.parameters) { flaws.add($0) }
        let findings: StoreFindings
        do {
            findings = try await lookAtAll(check)
        } catch {
            try? store.close()
            throw error
        }
        check.checkCharges(findings)
        let index = Self.text(store.indexCondition)
        do {
            try store.close()
        } catch {
            throw Failure(ServerError.storage(error))
        }
        let all = flaws.all
        let objects = "\(findings.objectCount) objects, \(findings.versionCount) versions"
        let fragments = "\(findings.fragmentCount) fragments of \(byteText(findings.fragmentBytes))"
        let verdict =
            all.damagedCount == 0
            ? "nothing is damaged" : "\(all.damagedCount) DAMAGED; the other servers' fragments give them back"
        try Report.finish(
            report,
            Outcome(
                server: Int(home.node.rawValue), index: index.name, objects: findings.objectCount,
                versions: findings.versionCount, fragments: findings.fragmentCount,
                fragmentBytes: findings.fragmentBytes, damagedCount: all.damagedCount, missingCount: all.missingCount,
                damaged: all.damaged, missing: all.missing),
            text: (all.damaged.map { "damaged: \($0)" } + all.missing.map { "missing: \($0)" }
                + ["\(home.node): the index is \(index.text)", "\(objects), \(fragments): \(verdict)"]
                + (all.missingCount > 0 ? ["\(all.missingCount) are missing that are no damage of this store's"] : []))
                .joined(separator: "\n"))
        if all.damagedCount > 0 { throw ReportedVerdict(status: .partial) }
    }

    private func open(_ configuration: ServerConfiguration) throws(Failure) -> ObjectStore {
        do {
            return try ObjectStore(
                directory: configuration.storeDirectory,
                owner: StoreOwner(configuration.node, of: configuration.parameters.configuration.cluster),
                options: configuration.storage)
        } catch .locked {
            throw Failure(.inputOutput, "\(configuration.node) runs; its store can be checked when it is stopped")
        } catch {
            throw Failure(ServerError.storage(error))
        }
    }

    private static func text(_ condition: IndexCondition) -> (name: String, text: String) {
        switch condition {
        case .good: ("good", "good")
        case .madeAnew: ("made_anew", "new: it was missing or damaged, and was made again from the journal")
        case .damaged(let reason):
            ("damaged", "DAMAGED and could not be made again, so some objects cannot be read: \(reason)")
        }
    }

    /// Some objects at a time, several times at once.
    private func lookAtAll(_ check: StoreCheck) async throws -> StoreFindings {
        var progress = CheckProgress(isShown: !report.json)
        defer { progress.end() }
        return try await withThrowingTaskGroup(of: StoreFindings.self) { tasks in
            var findings = StoreFindings()
            var last: [UInt8]?
            var underWay = 0
            while true {
                let keys = try check.keys(after: last, limit: Self.keysPerStep)
                guard let end = keys.last else { break }
                last = end
                if underWay == jobs, let done = try await tasks.next() {
                    findings.add(done)
                    progress.show(findings)
                    underWay -= 1
                }
                try Task.checkCancellation()
                tasks.addTask { await Self.onThread { check.check(keys) } }
                underWay += 1
            }
            for try await done in tasks { findings.add(done) }
            return findings
        }
    }

    private static let keysPerStep = 64
    private static let queue = DispatchQueue(label: "solidus.check", attributes: .concurrent)

    /// On a thread that may wait for the disk.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in queue.async { continuation.resume(returning: body()) } }
    }
}

/// What was found, the first of it by name.
private final class FlawList: Sendable {
    struct Contents {
        var damagedCount = 0
        var missingCount = 0
        var damaged: [String] = []
        var missing: [String] = []
    }

    private let namesMax: Int
    private let contents = Mutex(Contents())

    init(namesMax: Int) { self.namesMax = namesMax }

    func add(_ flaw: StoreFlaw) {
        contents.withLock { contents in
            if flaw.isMissing {
                contents.missingCount += 1
                if contents.missing.count < namesMax { contents.missing.append("\(flaw)") }
            } else {
                contents.damagedCount += 1
                if contents.damaged.count < namesMax { contents.damaged.append("\(flaw)") }
            }
        }
    }

    /// In order, whichever thread found what.
    var all: Contents {
        var all = contents.withLock { $0 }
        all.damaged.sort()
        all.missing.sort()
        return all
    }
}
