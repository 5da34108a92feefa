// What happened in a scripted run, in lines that a reviewer can follow, and its comparison with the one that is kept.
//
// A line is who, whom and what; consecutive lines that differ in the server only become one. Signatures are never in
// it: they are random, and everything else is determined by the script.

import Foundation
import QuorumProtocol
import Testing

final class Transcript {
    private enum Parties: Equatable {
        case servers
        case client(String)
        case request(String, arrow: String)
        case reply(String, arrow: String)
        case note
    }

    private struct Line {
        let parties: Parties
        var servers: [Position]
        let text: String
    }

    private let title: String
    private var lines: [Line] = []
    /// What servers do while a script asks them something directly; nil otherwise.
    private var exchange: [String]?
    /// Whether what happens is left out, because the like of it was told already.
    var isPaused = false

    init(_ title: String) { self.title = title }

    // MARK: Recording

    func note(_ text: String) { add(Line(parties: .note, servers: [], text: text)) }

    func server(_ server: Position, _ text: String) {
        if exchange != nil {
            exchange!.append(text)
        } else {
            add(Line(parties: .servers, servers: [server], text: text))
        }
    }

    func client(_ name: String, _ text: String) { add(Line(parties: .client(name), servers: [], text: text)) }

    func request(of client: String, to server: Position, _ text: String, arrow: String = "→") {
        add(Line(parties: .request(client, arrow: arrow), servers: [server], text: text))
    }

    func reply(of server: Position, to client: String, _ text: String, arrow: String = "→") {
        add(Line(parties: .reply(client, arrow: arrow), servers: [server], text: text))
    }

    /// Begins a question that is answered at once; what the server does meanwhile goes into the same line.
    func beginExchange() { exchange = [] }

    func endExchange(of client: String, with server: Position, _ request: String, _ reply: String) {
        let actions = exchange ?? []
        exchange = nil
        let answer = String(repeating: " ", count: Self.columnWidth + 4) + (actions + [reply]).joined(separator: "; ")
        self.request(of: client, to: server, request + "\n" + answer, arrow: "⇄")
    }

    private func add(_ line: Line) {
        guard !isPaused else { return }
        if let last = lines.last, last.parties == line.parties, last.text == line.text, line.parties != .note,
            let server = line.servers.first, !last.servers.contains(server)
        {
            lines[lines.count - 1].servers.append(server)
            lines[lines.count - 1].servers.sort()
        } else {
            lines.append(line)
        }
    }

    // MARK: Text

    private static let columnWidth = 22

    private static func text(_ line: Line) -> String {
        let servers = line.servers.map(TranscriptNames.name).joined(separator: " ")
        let parties =
            switch line.parties {
            case .note: "--"
            case .servers: servers
            case .client(let client): client
            case .request(let client, let arrow): "\(client) \(arrow) \(servers)"
            case .reply(let client, let arrow): "\(servers) \(arrow) \(client)"
            }
        if line.parties == .note { return "\n-- " + line.text }
        return "  " + parties + String(repeating: " ", count: max(2, columnWidth - parties.count)) + line.text
    }

    var text: String { ([title] + lines.map(Self.text)).joined(separator: "\n") + "\n" }

    // MARK: The transcript that is kept

    private static let variable = "SOLIDUS_RECORD_TRANSCRIPTS"
    /// A longer run is no longer one that somebody reads.
    private static let lineCountMax = 130

    /// Compares with `docs/scenarios/<name>.txt`, or writes that file when the environment says so.
    func expectKept(as name: String, sourceLocation: SourceLocation = #_sourceLocation) {
        var repository = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { repository.deleteLastPathComponent() }
        let file = repository.appendingPathComponent("docs/scenarios/\(name).txt")
        let text = text
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count <= Self.lineCountMax, "\(name) is too long to be read", sourceLocation: sourceLocation)
        if ProcessInfo.processInfo.environment[Self.variable] == "1" {
            do {
                try FileManager.default.createDirectory(
                    at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: file)
            } catch {
                Issue.record("\(file.path) cannot be written: \(error)", sourceLocation: sourceLocation)
            }
            return
        }
        let kept = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
        guard kept != text else { return }
        let keptLines = kept.split(separator: "\n", omittingEmptySubsequences: false)
        let position = zip(lines, keptLines).prefix { $0 == $1 }.count
        func line(_ lines: [Substring]) -> String { position < lines.count ? String(lines[position]) : "(end)" }
        Issue.record(
            """
            The run differs from docs/scenarios/\(name).txt at line \(position + 1):
              kept: \(line(keptLines))
              now:  \(line(lines))
            If it is meant to, record it anew: \(Self.variable)=1 swift test --filter Scenario
            """, sourceLocation: sourceLocation)
    }
}
