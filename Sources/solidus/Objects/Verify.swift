// solidus verify

import ArgumentParser
import ClusterFiles
import CommandOutcome
import DurableFiles
import FileTransfers
import Glibc
import QuorumClient
import QuorumProtocol

struct Verify: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have every server of an object send its fragment, and say who holds what.",
        discussion: """
            Reads are content with m right fragments; this asks for all n and checks each. A server that finds its own \
            rotten notes that it has lost it. Writing the object again makes all of them anew. Fails with exit code 11 \
            when a server does not hold what it should, or does not say. In the mode 'none' there is nothing to check \
            a fragment by but its size. With --evidence, what the servers send that proves one's lie is written to a \
            directory ('solidus evidence'); this does not look at values of several stripes.

            Examples:
              solidus verify photos/cat.jpg
              solidus verify photos/cat.jpg --evidence lies
            """)

    @OptionGroup var target: ObjectArgument
    @Option(help: "A directory for proofs that a server lied; it is made when there are some.", completion: .directory)
    var evidence: String?
    @OptionGroup var access: ClientArguments
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        struct Server: Encodable {
            let server: Int
            let fragment: Int
            let isGood: Bool
            let what: String
        }
        let object: String
        let version: String
        let lengthBytes: UInt64
        let good: Int
        let needed: Int
        let servers: [Server]
        let evidence: [String]
    }

    func run() async throws {
        let home = try access.home()
        let holdings = try await access.withClient(home) { client throws(ClientError) in
            try await ObjectHoldings.ask(
                target.object, home, by: client, timeoutMilliseconds: max(1, Int(access.timeout * 1000)))
        }
        Report.warn(holdings.status.observations)
        let proofs = try await proofs(home, of: holdings.status.timestamp)
        let needed = home.cluster.parameters.quorums.dataFragmentCount
        let servers = holdings.servers.enumerated().map { position, server in
            let (isGood, what) = Self.text(server.answer)
            return Outcome.Server(
                server: Int(server.node.rawValue), fragment: position, isGood: isGood, what: what)
        }
        let (good, all) = (holdings.goodCount, servers.count)
        let summary =
            "\(good) of \(all) fragments are good; any \(needed) give the value back"
            + (good < needed ? ", so it is lost unless a server comes back" : "")
        let head = "\(target.object), \(holdings.status.lengthBytes) bytes, version \(holdings.status.timestamp)"
        let lines = servers.map { "server \($0.server)  fragment \($0.fragment)  \($0.what)" }
        try Report.finish(
            report,
            Outcome(
                object: target.object.text, version: holdings.status.timestamp.fullName,
                lengthBytes: holdings.status.lengthBytes, good: good, needed: needed, servers: servers,
                evidence: proofs),
            text: ([head] + lines + [summary] + proofs.map { "PROOF of a lie: \($0.printable)" }).joined(
                separator: "\n"))
        if good < all { throw ReportedVerdict(status: .partial) }
    }

    /// The files that were written, or are there already.
    private func proofs(_ home: ClientHome, of timestamp: Timestamp) async throws -> [String] {
        guard let evidence else { return [] }
        let directory = EvidenceDirectory(evidence)
        var paths: [String] = []
        let found = try await EvidenceSearch.ask(
            target.object, timestamp, home, timeoutMilliseconds: max(1, Int(access.timeout * 1000)))
        for piece in found {
            let outcome: EvidenceDirectory.Outcome
            do throws(FileError) {
                outcome = try directory.add(piece)
            } catch {
                throw Failure(.inputOutput, "\(error.path.printable): \(String(cString: strerror(error.code)))")
            }
            switch outcome {
            case .kept(let path): paths.append(path)
            case .known: paths.append("\(directory.path)/\(piece.name)\(EvidenceDirectory.suffix)")
            case .full: throw Failure(.inputOutput, "\(evidence.printable) has no room for more evidence")
            }
        }
        return paths
    }

    private static func text(_ answer: ObjectHoldings.Answer) -> (isGood: Bool, what: String) {
        switch answer {
        case .answer(.good(let knowsCommit)):
            (true, knowsCommit ? "good" : "good; it has not been told that the version is committed")
        case .answer(.noFragments): (false, "lost, or never sent there: it knows the version and has no fragment")
        case .answer(.someStripes(let good, let missing)):
            (false, "incomplete: of \(good + missing) stripes it lacks \(missing)")
        case .answer(.nothing(nil)): (false, "missing: it knows no version of the object")
        case .answer(.nothing(let highest?)): (false, "missing: its newest version is \(highest)")
        case .answer(.wrong(let reason)): (false, "WRONG: \(reason)")
        case .silent(let reason): (false, "no answer: \(reason)")
        case .unreachable(let error): (false, "not reachable: \(error)")
        }
    }
}
