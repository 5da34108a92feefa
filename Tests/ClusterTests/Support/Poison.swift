// A version that no block has as its encoding, committed past all clients' machines.

import NIOCore
import NIOPosix
import QuorumFaults
import QuorumProtocol
import Testing

extension TestCluster {
    /// Has a version committed at every server of which the fragment at position 0 is garbage under the right hash.
    func commitPoison(_ key: ObjectKey, counter: UInt64) async throws -> Timestamp {
        let home = try clientHome("hostile")
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let peers = try servers.map {
            try RawPeer(self, $0, identity: home.identity, group: group)
        }
        let parameters = configuration.parameters
        let poison = ForgedVersion.make(
            key: key, value: Array("an evil value".utf8), counter: counter, writer: home.id,
            parameters: parameters, soundness: .garbage(at: Position(0)))
        var statements: [SignedStatement] = []
        for peer in peers {
            // One of them may not have heard of the version below yet, and refuses.
            if case .prepared(let signed, _) = try await peer.ask(poison.prepare(for: peer.position(of: key))) {
                statements.append(signed)
            }
        }
        let certificate = parameters.placement(of: key).certificate(
            of: poison.timestamp, Array(statements.prefix(parameters.quorums.quorum)))
        for peer in peers {
            let reply = try await peer.ask(poison.commit(certificate))
            guard case .committed(poison.timestamp, _) = reply else {
                Issue.record("\(peer.server): \(reply)")
                continue
            }
        }
        for peer in peers { peer.close() }
        try await group.shutdownGracefully()
        return poison.timestamp
    }
}
