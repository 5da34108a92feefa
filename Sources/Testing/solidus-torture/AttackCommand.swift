// solidus-torture attack: a hostile client of a torture, in a process of its own, which shares neither threads nor
// locks with the others.

import ArgumentParser
import CProcessControl
import ClusterFiles
import Dispatch
import Foundation
import Glibc
import HostileClients
import NIOPosix
import QuorumProtocol
import QuorumServer

extension AttackKind: ExpressibleByArgument {}

/// What became of one attack.
struct AttackReport: Codable, Sendable {
    let kind: String
    let counters: AttackCounters
    /// Why it could not begin; nil when it did.
    let problem: String?
}

struct AttackCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attack", abstract: "Attacks a cluster as one of its clients, until SIGTERM.",
        shouldDisplay: false)

    /// Names of the clients that attack begin so; the kind follows.
    static let clientPrefix = "hostile-"

    /// Lower than that of servers and clients: what harms them is not to be the attacker's own work on their machine.
    private static let niceness: Int32 = 5
    private static let feltPause = Duration.milliseconds(50)
    private static let preparationPause = Duration.milliseconds(200)

    @Option(help: "The cluster's directory.")
    var cluster: String
    @Option(help: "The kind of attack.")
    var kind: AttackKind
    @Option(name: .customLong("object"), help: "An object that others write; may be repeated.")
    var objects: [String] = []
    @Option(name: .customLong("store"), help: "The store of a server on this machine; may be repeated.")
    var stores: [String] = []
    @Option(help: "How many requests and connections together go to each server a second, once all is prepared.")
    var perSecond: Double?
    @Option(help: "Write what was sent and what came back to this file, as JSON.")
    var report: String

    func run() async throws {
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
        _ = DescriptorLimit.raise()
        signal(SIGTERM, SIG_IGN)
        let ended = AsyncStream<Void>.makeStream()
        let ending = DispatchSource.makeSignalSource(signal: SIGTERM, queue: .global())
        ending.setEventHandler { ended.continuation.finish() }
        ending.resume()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let home = try ClientHome(clusterDirectory: cluster, client: Self.clientPrefix + kind.rawValue)
        let attacker = try Attacker(
            home: home, objects: objects.map { try ObjectKey($0) }, stores: stores, perSecond: perSecond, group: group)
        let kind = kind
        let siege = Task { await Self.besiege(kind, attacker) }
        let sign = Task { await Self.sayWhenFelt(kind, attacker) }
        for await _ in ended.stream {}
        sign.cancel()
        siege.cancel()
        try JSONEncoder().encode(await siege.value).write(to: URL(fileURLWithPath: report), options: .atomic)
    }

    /// Tells whoever waits at the ready pipe once servers have had to do with the attack.
    private static func sayWhenFelt(_ kind: AttackKind, _ attacker: Attacker) async {
        while !kind.isFelt(attacker.tally.snapshot) {
            do { try await Task.sleep(for: feltPause) } catch { return }
        }
        var byte = UInt8(ascii: "\n")
        _ = write(Int32(process_control_ready_descriptor), &byte, 1)
    }

    /// Attacks until the task is cancelled. What is to be there before may take several tries while servers are harmed.
    private static func besiege(_ kind: AttackKind, _ attacker: Attacker) async -> AttackReport {
        var problem: String?
        let attack = kind.attack
        while !Task.isCancelled {
            do {
                try await attack.prepare(by: attacker)
                problem = nil
                attacker.beginPace()
                await attack.run(by: attacker)
            } catch {
                if !Task.isCancelled { problem = "\(error)" }
                try? await Task.sleep(for: preparationPause)
            }
        }
        return AttackReport(kind: kind.rawValue, counters: attacker.tally.snapshot, problem: problem)
    }
}
