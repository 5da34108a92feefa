// solidus server check

import ArgumentParser
import ClusterFiles
import CommandOutcome
import Dispatch
import FileTransfers
import Glibc
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
            The server must not run, and the command runs as the user whose store it is. Opening the store finishes what a \
            crash interrupted, and makes an index that is missing or damaged again from the journal; nothing else is changed. \
            Every object's record, descriptions and fragments are read and compared with their checksums and hashes, and what \
            clients are charged with what the records say. Not looked at are the index's lists of objects, and what the \
            journal has besides the index, until that is made again.

            A fragment that is damaged is read from the other servers, and the server makes it anew when it runs and meets \
            it. Of a version that is committed and whose fragments never came it is said that they are missing; that is no \
            damage. Fails with exit code 11 when anything is damaged or cannot be read.

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
        let unreadCount: Int
        let damaged: [String]
        let missing: [String]
        let unread: [String]
    }

    func run() async throws {
        let home = try ServerHome(path: home)
        var configuration = ServerConfiguration(home: home)
        if let limit = DescriptorLimit.raise(), limit < DescriptorLimit.recommended {
            configuration.storage.openSegmentsMax = max(1, min(configuration.storage.openSegmentsMax, limit / 8))
        }
        try checkOwner(of: configuration.storeDirectory)
        let store = try open(configuration)
        let troubles = TroubleList(namesMax: names)
        var parameters = home.cluster.parameters
        parameters.limits.fillsSpares = home.fillsSpares
        let check = StoreCheck(store, of: home.node, parameters: parameters) { troubles.add($0) }
        let findings: StoreFindings
        do {
            findings = try await lookAtAll(check, troubles)
        } catch {
            try? store.close()
            throw error
        }
        check.checkCharges(findings)
        let index = Self.text(store.indexCondition)
        if case .damaged(let reason) = store.indexCondition { troubles.add(.index(reason)) }
        do {
            try store.close()
        } catch {
            throw Failure(ServerError.storage(error))
        }
        let all = troubles.all
        let objects = "\(findings.objectCount) objects, \(findings.versionCount) versions"
        let fragments = "\(findings.fragmentCount) fragments of \(byteText(findings.fragmentBytes))"
        let isGood = all.damaged.count + all.unread.count == 0
        var verdict = isGood ? "nothing is damaged" : "\(all.damaged.count) DAMAGED"
        if all.unread.count > 0 { verdict += ", \(all.unread.count) could not be read" }
        if findings.unknownCount > 0 { verdict += "; what clients are charged was not compared" }
        try Report.finish(
            report,
            Outcome(
                server: Int(home.node.rawValue), index: index.name, objects: findings.objectCount,
                versions: findings.versionCount, fragments: findings.fragmentCount,
                fragmentBytes: findings.fragmentBytes, damagedCount: all.damaged.count,
                missingCount: all.missing.count, unreadCount: all.unread.count, damaged: all.damaged.names,
                missing: all.missing.names, unread: all.unread.names),
            text: (all.damaged.names.map { "damaged: \($0)" } + all.unread.names.map { "NOT READ: \($0)" }
                + all.missing.names.map { "missing: \($0)" }
                + ["\(home.node): the index is \(index.text)", "\(objects), \(fragments): \(verdict)"]
                + (all.missing.count > 0
                    ? ["\(all.missing.count) are missing that never came, which is no damage"] : []))
                .joined(separator: "\n"))
        if !isGood { throw ReportedVerdict(status: .partial) }
    }

    /// Whoever opens the store makes files in it, which its server has to be able to read.
    private func checkOwner(of directory: String) throws(Failure) {
        var status = stat()
        guard stat(directory, &status) == 0, status.st_uid != geteuid() else { return }
        throw Failure(
            .configuration,
            "\(directory) belongs to user \(status.st_uid); check it as that user: sudo -u '#\(status.st_uid)' solidus "
                + "server check …")
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

    /// Some objects at a time, several times at once. Where the index cannot be read it ends.
    private func lookAtAll(_ check: StoreCheck, _ troubles: TroubleList) async throws -> StoreFindings {
        var progress = ProgressLine(isShown: !report.json)
        defer { progress.end() }
        return try await withThrowingTaskGroup(of: StoreFindings.self) { tasks in
            var findings = StoreFindings()
            var last: [UInt8]?
            var underWay = 0
            while let keys = Self.keys(check, after: last, troubles, &findings), let end = keys.last {
                last = end
                if underWay == jobs, let done = try await tasks.next() {
                    findings.add(done)
                    progress.show("\(findings.objectCount) objects  \(byteText(findings.fragmentBytes))")
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

    private static func keys(
        _ check: StoreCheck, after last: [UInt8]?, _ troubles: TroubleList, _ findings: inout StoreFindings
    ) -> [[UInt8]]? {
        do throws(StorageError) {
            return try check.keys(after: last, limit: keysPerStep)
        } catch {
            // The next opening makes the index anew.
            troubles.add(.lost(.listing(error)))
            findings.unknownCount += 1
            return nil
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
private final class TroubleList: Sendable {
    struct Named {
        var count = 0
        var names: [String] = []

        mutating func add(_ trouble: StoreTrouble, namesMax: Int) {
            count += 1
            if names.count < namesMax { names.append("\(trouble)") }
        }
    }

    struct Contents {
        var damaged = Named()
        var missing = Named()
        var unread = Named()
    }

    private let namesMax: Int
    private let contents = Mutex(Contents())

    init(namesMax: Int) { self.namesMax = namesMax }

    func add(_ trouble: StoreTrouble) {
        contents.withLock { contents in
            switch trouble.kind {
            case .damage: contents.damaged.add(trouble, namesMax: namesMax)
            case .missing: contents.missing.add(trouble, namesMax: namesMax)
            case .unread: contents.unread.add(trouble, namesMax: namesMax)
            }
        }
    }

    /// In order, whichever thread found what.
    var all: Contents {
        var all = contents.withLock { $0 }
        all.damaged.names.sort()
        all.missing.names.sort()
        all.unread.names.sort()
        return all
    }
}
