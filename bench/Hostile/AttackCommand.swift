// solidus-bench attack: the attacker's side of `solidus-bench hostile`, a process of its own.

import ArgumentParser
import CProcessControl
import ClusterFiles
import Dispatch
import Foundation
import Glibc
import HostileClients
import NIOPosix
import QuorumProtocol

/// The kinds of attack, and what a client does that only asks for much.
enum AttackName: Hashable, Sendable, ExpressibleByArgument {
    case attack(AttackKind)
    /// A correct client that does as much as it can: what an attack is to be compared with.
    case busyClient

    static let busyClientName = "busy-client"
    static var all: [AttackName] { [.busyClient] + AttackKind.allCases.map { .attack($0) } }

    var rawValue: String {
        switch self {
        case .attack(let kind): kind.rawValue
        case .busyClient: Self.busyClientName
        }
    }

    init?(argument: String) {
        guard let name = Self.all.first(where: { $0.rawValue == argument }) else { return nil }
        self = name
    }

    static var allValueStrings: [String] { all.map(\.rawValue) }

    var attack: any Attack {
        switch self {
        case .attack(let kind): kind.attack
        case .busyClient: BusyClient()
        }
    }

    var summary: String {
        switch self {
        case .attack(let kind): kind.summary
        case .busyClient: "a correct client that puts and gets as fast as it can"
        }
    }
}

struct AttackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attack", abstract: "Attacks a cluster as one of its clients, until SIGTERM.", shouldDisplay: false
    )

    @Argument(help: "The kind of attack.")
    var kind: AttackName
    @Option(help: "The home of the client that attacks.")
    var home: String
    @Option(name: .customLong("object"), help: "An object that others write; may be repeated.")
    var objects: [String] = []
    @Option(name: .customLong("store"), help: "The store of a server on this machine; may be repeated.")
    var stores: [String] = []
    @Option(
        help: "How many requests and connections to make to each server a second; all it can when not given.")
    var perSecond: Double?
    @Option(help: "Write what was sent and what came back to this file, as JSON.")
    var report: String

    /// The least: where servers are on the attacker's machine, his own work is not to be what keeps them from theirs.
    private static let niceness: Int32 = 19
    /// Until the attack is under way.
    private static let onsetMicroseconds: UInt32 = 300_000

    func run() throws {
        _ = nice(Self.niceness)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let attacker = try Attacker(
            home: ClientHome(path: home), objects: objects.map { try ObjectKey($0) }, stores: stores,
            perSecond: perSecond, group: group)
        let attack = kind.attack
        signal(SIGTERM, SIG_IGN)
        let ending = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        try waiting { try await attack.prepare(by: attacker) }
        attacker.beginPace()
        let siege = Task { await attack.run(by: attacker) }
        ending.setEventHandler { siege.cancel() }
        ending.resume()
        usleep(Self.onsetMicroseconds)
        var byte = UInt8(ascii: "\n")
        guard write(Int32(process_control_ready_descriptor), &byte, 1) == 1 else { throw ExitCode.failure }
        try waiting { await siege.value }
        try JSONEncoder().encode(attacker.tally.snapshot).write(to: URL(fileURLWithPath: report))
    }
}
