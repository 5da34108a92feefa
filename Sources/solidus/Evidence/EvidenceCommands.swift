// solidus evidence

import ArgumentParser
import ClusterFiles
import CommandOutcome
import DurableFiles
import FileTransfers
import Foundation
import Glibc
import QuorumProtocol

struct EvidenceCommands: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "evidence",
        abstract: "List, show and verify proofs that a server lied.",
        subcommands: [EvidenceList.self, EvidenceShow.self, EvidenceVerify.self])
}

/// What a file says, before anything of it is believed.
struct EvidenceDetails: Encodable {
    let file: String
    let kind: String
    let server: Int
    let incarnation: UInt64
    let claim: String
    let object: String
    let version: String
    let cluster: String
    let epoch: UInt64
    let group: Int
    let sizeBytes: Int

    init(_ evidence: Evidence, path: String, sizeBytes: Int) {
        file = path
        kind = evidence.kind.description
        server = Int(evidence.statement.node.rawValue)
        incarnation = evidence.statement.incarnation.rawValue
        claim = "\(evidence.statement.claim)"
        object = evidence.key.text
        version = evidence.timestamp.fullName
        cluster = "\(evidence.cluster)"
        epoch = evidence.epoch
        group = Int(evidence.group.rawValue)
        self.sizeBytes = sizeBytes
    }

    /// - Throws: `Failure` when the file cannot be read, or is none of evidence.
    static func read(_ path: String) throws(Failure) -> (evidence: Evidence, details: EvidenceDetails) {
        let bytes: [UInt8]
        do throws(FileError) {
            bytes = try EvidenceDirectory.read(path)
        } catch {
            throw Failure(.inputOutput, "\(path.printable) cannot be read: \(String(cString: strerror(error.code)))")
        }
        do throws(MalformedEncoding) {
            let evidence = try Evidence(decoding: bytes)
            return (evidence, EvidenceDetails(evidence, path: path, sizeBytes: bytes.count))
        } catch {
            throw Failure(.inputOutput, "\(path.printable) is no file of evidence: \(error)")
        }
    }

    var line: String {
        "server \(server)  incarnation \(incarnation)  \(kind)  \(object.printable)  \(file.printable)"
    }
}

struct EvidenceList: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the files of evidence in a server's home, or in a directory.",
        discussion: """
            A server keeps in its home what it has met that proves another one's lie: at most 256 files and 256 MiB, one \
            for each lie. What is listed is what the files say of themselves; 'evidence verify' judges it. Fails with exit \
            code 7 when the directory cannot be read, and with 11 when one of its files is damaged.

            Example: solidus evidence list demo/servers/0
            """)

    @Argument(help: "The server's home, DIR/servers/NUMBER, or a directory of such files.", completion: .directory)
    var place: String
    @OptionGroup var report: ReportOptions

    private struct Outcome: Encodable {
        let evidence: [EvidenceDetails]
        let damaged: [String]
    }

    func run() async throws {
        let home = EvidenceDirectory(home: place)
        var status = stat()
        guard stat(place, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw Failure(.inputOutput, "\(place.printable) is no directory")
        }
        let isHome = stat(place + "/server.toml", &status) == 0 || stat(home.path, &status) == 0
        let files: [EvidenceDirectory.File]
        do throws(FileError) {
            files = try (isHome ? home : EvidenceDirectory(place)).files()
        } catch {
            throw Failure(.inputOutput, "\(error.path.printable): \(String(cString: strerror(error.code)))")
        }
        var listed: [EvidenceDetails] = []
        var damaged: [String] = []
        for file in files {
            do throws(Failure) {
                listed.append(try EvidenceDetails.read(file.path).details)
            } catch {
                Standard.complain("warning: \(error.message)")
                damaged.append(file.path)
            }
        }
        let summary = listed.isEmpty ? "no evidence" : "\(listed.count) files of evidence"
        try Report.finish(
            report, Outcome(evidence: listed, damaged: damaged),
            text: (listed.map(\.line) + [summary]).joined(separator: "\n"))
        if !damaged.isEmpty { throw ReportedVerdict(status: .partial) }
    }
}

struct EvidenceShow: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Say whom a file accuses, and of what. Nothing of it is believed.",
        discussion: """
            Fails with exit code 7 when the file cannot be read or is none of evidence.

            Example: solidus evidence show lie.evidence
            """)

    @Argument(help: "The file.", completion: .file())
    var file: String
    @OptionGroup var report: ReportOptions

    func run() async throws {
        let (evidence, details) = try EvidenceDetails.read(file)
        try Report.finish(
            report, details,
            text: """
                accused: server \(details.server), incarnation \(details.incarnation)
                of: it \(evidence.kind.meaning) (\(details.kind))
                statement: \(details.claim), signed in group \(details.group) of epoch \(details.epoch)
                object: \(details.object.printable)
                version: \(details.version)
                cluster: \(details.cluster)
                not verified yet: solidus evidence verify
                """)
    }
}

struct EvidenceVerify: AsyncParsableCommand, ReportingCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Judge a file of evidence by a cluster's configuration and signed list of keys; no server is asked.",
        discussion: """
            What is proven is that whoever held the key of this life of the server has signed what is false: the server, \
            with whatever ails its software, processor or memory, or a thief of its key. Whether a later life has a key of \
            its own since, and this one is retired, is said as well. A cluster's directory needs no more in it than \
            cluster.toml and its signed lists.

            Fails with exit code 10 when the file proves nothing, with 6 when it would take more to judge it (another \
            cluster's configuration, or a newer list of keys), and with 7 when it is no file of evidence.

            Example: solidus evidence verify lie.evidence --cluster demo
            """)

    @Argument(help: "The file.", completion: .file())
    var file: String
    @Option(
        help: "The cluster's directory; the environment's SOLIDUS_CLUSTER when not given.", completion: .directory)
    var cluster: String?
    @OptionGroup var report: ReportOptions

    func validate() throws { _ = try ClusterDirectory(cluster) }

    private struct Outcome: Encodable {
        let isProof: Bool
        let reason: String?
        let isKeyRetired: Bool?
        let evidence: EvidenceDetails
    }

    func run() async throws {
        let description = try ClusterDescription(directory: ClusterDirectory(cluster).path)
        let (evidence, details) = try EvidenceDetails.read(file)
        let parameters = description.parameters
        let verifier = StatementVerifier(
            history: parameters.history, keys: description.lists.keys.contents.statementKeys)
        do throws(EvidenceFault) {
            let verdict = try evidence.verdict(parameters, verifier)
            let life =
                verdict.isKeyRetired
                ? "its key is retired: the server has begun a later life"
                : "its key is the one that counts"
            try? Report.finish(
                report, Outcome(isProof: true, reason: nil, isKeyRetired: verdict.isKeyRetired, evidence: details),
                text: """
                    PROVEN: server \(details.server) \(verdict.kind.meaning)
                    incarnation \(details.incarnation); \(life)
                    object \(details.object.printable), version \(details.version)
                    """)
        } catch {
            // What is not known here may be known elsewhere.
            if error.isIgnorance { throw Failure(.configuration, "\(file.printable) cannot be judged: \(error)") }
            try Report.finish(
                report,
                Outcome(isProof: false, reason: error.description, isKeyRetired: nil, evidence: details),
                text: "NO PROOF: \(error)")
            throw ReportedVerdict(status: .undecided)
        }
    }
}
