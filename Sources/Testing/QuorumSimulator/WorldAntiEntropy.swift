// Servers that ask each other for what they have missed, as AntiEntropy does it behind sockets. The comparison of slots
// is one step here, which may be lost on its way as a message may; certificates are asked for by requests of their own.

import Fingerprint
import QuorumFaults
import QuorumProtocol

/// A server's question for the certificate of something that another one has committed.
struct RunningQuestion {
    let key: ObjectKey
    let peer: NodeID
}

extension World {
    /// A server meets another one now and then, and when nobody asks for anything any more, one each time.
    func beginMeeting(_ server: SimulatedServer) {
        guard server.liar == nil, !server.isRebuilding, isHealed || generator.chance(percent: 5) else { return }
        guard !plan.serversMeetLate || phase == .comingToRest else { return }
        let others = Set(parameters.configuration.groups(of: server.node).flatMap(\.members)).subtracting([server.node])
        guard let peer = generator.pick(others.sorted()) else { return }
        let (delay, _) = network.delays(server: peer)
        guard let delay else { return }
        heap.add(.meeting(server.node, life: server.life, peer), at: nowMicroseconds + delay)
    }

    /// What a server has committed of the objects of a slot.
    private func committed(_ server: SimulatedServer, inSlot slot: Slot) -> [CommittedObject] {
        keys.filter { $0.slot == slot }.sorted().compactMap { key in
            server.disk.lastRecord(key)?.highestCommitted.map { CommittedObject(key: key, timestamp: $0) }
        }
    }

    private func digest(_ objects: [CommittedObject]) -> Digest256 {
        var digesting = SlotDigesting()
        for object in objects { digesting.take(object) }
        return digesting.digest
    }

    /// Two servers compare what they have committed.
    func meet(_ server: SimulatedServer, _ peer: SimulatedServer) {
        guard server.isUp, peer.isUp, !peer.isRebuilding,
            network.isConnected(Int(server.node.rawValue), Int(peer.node.rawValue))
        else { return }
        learn(server, keysVersion: peer.keysVersion)
        learn(peer, keysVersion: server.keysVersion)
        for slot in Set(keys.map(\.slot)).sorted() {
            let group = parameters.configuration.group(of: slot)
            guard group.contains(server.node), group.contains(peer.node) else { continue }
            var theirs = committed(peer, inSlot: slot)
            if peer.liar != nil {
                // What is named need not be.
                theirs = theirs.map { object in
                    guard generator.chance(percent: 30) else { return object }
                    let timestamp = Timestamp(
                        counter: object.timestamp.counter &+ UInt64(generator.below(3)),
                        writer: object.timestamp.writer, digest: object.timestamp.digest)
                    return CommittedObject(key: object.key, timestamp: timestamp)
                }
            }
            guard digest(theirs) != digest(committed(server, inSlot: slot)) else { continue }
            for object in theirs {
                guard case .held(let record) = server.disk.record(object.key) else {
                    if server.disk.record(object.key).isReadable { ask(server, peer.node, object) }
                    continue
                }
                if !record.hasReached(object.timestamp) { ask(server, peer.node, object) }
            }
        }
    }

    func ask(_ server: SimulatedServer, _ peer: NodeID, _ object: CommittedObject) {
        verificationCount += 1
        server.questions[verificationCount] = RunningQuestion(key: object.key, peer: peer)
        send(
            .certificate(object.key, object.timestamp), to: peer, route: routeNumber(of: object.key),
            client: Self.asker(server.node), operation: verificationCount)
    }

    /// A server has shown a certificate, or has not.
    func receive(_ reply: Reply, from peer: NodeID, _ server: SimulatedServer, question number: Int) {
        guard let question = server.questions[number], question.peer == peer else { return }
        server.questions[number] = nil
        restated(question.key, reply, by: peer, server)
        guard case .certificate(_, let shown?) = reply,
            let verified = try? server.verifier.verify(shown, key: question.key),
            let replica = replica(of: server, for: question.key)
        else { return }
        note("\(server.node) learns of \(shown.timestamp) of \(question.key)")
        feed(server, replica, .learned(question.key, verified, number: 0))
    }

    // MARK: At the end

    /// A version that a correct server has committed and this one has not heard of.
    func lag(of server: SimulatedServer, _ key: ObjectKey, behind correct: [SimulatedServer]) -> Timestamp? {
        let highest = correct.compactMap { $0.disk.lastRecord(key)?.highestCommitted }.max()
        guard let highest, server.disk.record(key).isReadable else { return nil }
        return server.disk.lastRecord(key)?.hasReached(highest) ?? false ? nil : highest
    }
}
