// A version that no block has as its encoding, committed past all clients' machines.

import NIOCore
import NIOPosix
import QuorumFaults
import QuorumProtocol
import Testing

extension TestCluster {
    /// Has a version committed of which the fragment at position 0 is garbage under the right hash: at every server, but
    /// for those that others have already told that it is poisonous.
    func commitPoison(_ key: ObjectKey, counter: UInt64) async throws -> Timestamp {
        let (timestamp, refusals) = try await sendPoison(key, counter: counter, by: "hostile")
        #expect(refusals.isEmpty)
        return timestamp
    }

    /// Tries to. Returns the version and who refused it to the end.
    func sendPoison(
        _ key: ObjectKey, counter: UInt64, by client: String
    ) async throws -> (timestamp: Timestamp, refusals: [NodeID: Reply]) {
        let home = try clientHome(client)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let peers = try servers.map {
            try RawPeer(self, $0, identity: home.identity, group: group)
        }
        let parameters = configuration.parameters
        let poison = ForgedVersion.make(
            key: key, value: Array("an evil value".utf8), counter: counter, writer: home.id,
            parameters: parameters, soundness: .garbage(at: Position(0)))
        var statements: [SignedStatement] = []
        var refusals: [NodeID: Reply] = [:]
        for peer in peers {
            // One of them may not have heard of the version below yet, and refuses.
            let reply = try await peer.ask(poison.prepare(for: peer.position(of: key)))
            if case .prepared(let signed, _) = reply {
                statements.append(signed)
            } else {
                refusals[peer.server] = reply
            }
        }
        if statements.count >= parameters.quorums.quorum {
            refusals = [:]
            let certificate = parameters.placement(of: key).certificate(
                of: poison.timestamp, Array(statements.prefix(parameters.quorums.quorum)))
            for peer in peers {
                let reply = try await peer.ask(poison.commit(certificate))
                switch reply {
                case .committed(poison.timestamp, _): break
                // The servers asked before have verified the version by now, and told this one of it.
                case .refused(.poisonous): break
                default: refusals[peer.server] = reply
                }
            }
        }
        for peer in peers { peer.close() }
        try await group.shutdownGracefully()
        return (poison.timestamp, refusals)
    }
}
