// Servers that lose everything and are rebuilt while the world goes on, as Rebuilder and Restater do it behind sockets: a
// new life's key on the operator's list, which parties learn of one after the other; listings; certificates that are
// restated. One is wiped only when so many may fail that one more may, those counted that were not well when something
// began that still goes on.

import QuorumFaults
import QuorumProtocol

/// A wipe of some server that may fail then.
package struct PlannedWipe: Sendable, Equatable {
    package var atMicroseconds: UInt64
    package var downMicroseconds: UInt64
}

/// What a server that was wiped has been told.
struct RunningRebuild {
    /// What each of the others has listed after its promise, and in which life it did.
    var told: [NodeID: (incarnation: Incarnation, objects: [CommittedObject])] = [:]
    var isServing = false
}

/// A server's attempt to have a version's certificate count again.
struct RunningRestatement {
    let certificate: Certificate
    var statements: [SignedStatement]
    var descriptor: SealedDescriptor?
    var roundCount = 0
}

extension World {
    private static let restateRoundsMax = 60
    /// How long a wipe waits for its turn before it looks again.
    private static let wipeWaitMicroseconds: UInt64 = 20_000

    // MARK: Lists of keys

    /// A server makes a list durable and goes by it.
    func learn(_ server: SimulatedServer, keysVersion: Int) {
        guard server.isUp, keysVersion > server.keysVersion else { return }
        server.keysVersion = keysVersion
        server.learn(keyLists[keysVersion])
        note("\(server.node) goes by version \(keysVersion) of the keys")
        let fences = keyLists[keysVersion].fences
        server.undecided = server.replicas.indices.map { replica in
            feed(server, replica, .fenced(fences))
            return server.replicas[replica].changesUnderWay
        }
    }

    /// Whether all that the server decided by earlier lists is durable.
    private func hasPromised(_ server: SimulatedServer) -> Bool {
        zip(server.undecided, server.replicas).allSatisfy { $0.isDisjoint(with: $1.changesUnderWay) }
            || isPlanted(.promisedAtOnce)
    }

    func learn(_ client: SimulatedClient, keysVersion: Int) {
        guard keysVersion > client.keysVersion else { return }
        let before = keyLists[client.keysVersion].fences
        client.keysVersion = keysVersion
        client.learn(keyLists[keysVersion])
        let after = keyLists[keysVersion].fences
        guard let operation = client.operation else { return }
        for server in servers where after.incarnation(of: server.node) > before.incarnation(of: server.node) {
            guard let position = position(of: server.node, in: operation) else { continue }
            if client.transfer != nil {
                feed(client, operation, StripeTransfer.Input.connected(position))
            } else if client.writer != nil {
                feed(client, operation, Writer.Input.renewed(position))
            } else {
                feed(client, operation, Reader.Input.renewed(position))
            }
        }
    }

    /// Some party hears of the newest list.
    func learnKeys(party: Int) {
        let newest = keyLists.count - 1
        if party < servers.count {
            learn(servers[party], keysVersion: newest)
        } else {
            learn(clients[party - servers.count], keysVersion: newest)
        }
    }

    // MARK: Wipes

    func happen(wipe number: Int) {
        guard !isHealed, let wipe = plan.wipes[number] else { return }
        let candidates = servers.filter { mayBeWiped($0) }
        guard let server = generator.pick(candidates) else {
            heap.add(.wipe(number), at: nowMicroseconds + Self.wipeWaitMicroseconds)
            return
        }
        let store = plan.stores.map {
            ServerStore(
                $0, node: server.node, parameters: parameters,
                seed: plan.seed &* 0x9e37_79b9_7f4a_7c15 &+ UInt64(19 + keyLists.count))
        }
        server.wipe(&diskGenerator, store: store)
        server.rebuild = RunningRebuild()
        unhealed.insert(server.node)
        let incarnation = Incarnation(server.signer.incarnation.rawValue + 1)
        note("\(server.node) loses everything and begins \(incarnation)")
        let key = SimulatedKey(seed: plan.seed &+ incarnation.rawValue &* 0x9e37_79b9, node: server.node)
        var keys = keyLists[keyLists.count - 1]
        keys.add(key.verification, of: server.node, incarnation)
        keyLists.append(keys)
        server.beginLife(
            StatementSigner(node: server.node, incarnation: incarnation, mode: plan.mode, key: key.signing), keys: keys,
            version: keyLists.count - 1)
        heap.add(.serverRestart(server.node), at: nowMicroseconds + wipe.downMicroseconds)
        for party in 0..<servers.count + clients.count {
            let delay = UInt64(generator.within(0...generator.within(1...400_000)))
            heap.add(.learnKeys(party: party), at: nowMicroseconds + wipe.downMicroseconds + delay)
        }
    }

    private func mayBeWiped(_ server: SimulatedServer) -> Bool {
        guard !badServers.contains(server.node), !unhealed.contains(server.node) else { return false }
        let running = clients.compactMap { client in client.operation.map { history[$0].invokedAtStep } }
        let recent = wellAtStep.filter { _, step in running.contains { $0 < step } }.keys
        let faulty = badServers.union(unhealed).union(recent).union([server.node])
        return parameters.configuration.groups.allSatisfy { group in
            group.members.count { faulty.contains($0) } <= parameters.quorums.faults
        }
    }

    // MARK: Listings

    func advanceRebuild(_ server: SimulatedServer) {
        guard let rebuild = server.rebuild else { return }
        for peer in peers(of: server) where rebuild.told[peer] == nil {
            let (delay, _) = network.delays(server: peer)
            if let delay { heap.add(.telling(server.node, life: server.life, peer), at: nowMicroseconds + delay) }
        }
        if !rebuild.isServing, isToldEnough(server, rebuild) {
            note("\(server.node) answers again")
            server.rebuild?.isServing = true
        }
        judgeWellness(of: server)
    }

    private func peers(of server: SimulatedServer) -> [NodeID] {
        let members = parameters.configuration.groups(of: server.node).flatMap(\.members)
        return Set(members).subtracting([server.node]).sorted()
    }

    private func isToldEnough(_ server: SimulatedServer, _ rebuild: RunningRebuild) -> Bool {
        parameters.configuration.groups(of: server.node).allSatisfy { group in
            group.members.count { rebuild.told[$0] != nil } >= parameters.quorums.quorum
        }
    }

    /// One server asks another what it has committed, all of it at once.
    func list(_ server: SimulatedServer, from peer: SimulatedServer) {
        guard server.isUp, server.rebuild != nil, peer.isUp,
            network.isConnected(Int(server.node.rawValue), Int(peer.node.rawValue))
        else { return }
        let newest = max(server.keysVersion, peer.keysVersion)
        learn(peer, keysVersion: newest)
        learn(server, keysVersion: newest)
        guard peer.liar != nil || !peer.isRebuilding && hasPromised(peer) else { return }
        var objects = keys.filter { key in
            let group = parameters.configuration.group(of: key.slot)
            return group.contains(server.node) && group.contains(peer.node)
        }.flatMap { key -> [CommittedObject] in
            guard let record = peer.disk.lastRecord(key) else { return [] }
            let versions = record.unverified.map(\.timestamp) + [record.committed?.timestamp].compactMap { $0 }
            return versions.map { CommittedObject(key: key, timestamp: $0) }
        }
        if peer.liar != nil { objects.removeAll { _ in generator.chance(percent: 40) } }
        note("\(peer.node) lists \(objects.count) objects to \(server.node)")
        server.rebuild?.told[peer.node] = (peer.signer.incarnation, objects)
        for object in objects {
            if !hasTaken(object, server) { ask(server, peer.node, object) }
        }
    }

    /// Whether the server has all that the others have committed, and lacks nothing: then it counts towards f no more.
    private func judgeWellness(of server: SimulatedServer) {
        guard let rebuild = server.rebuild, rebuild.isServing, server.isUp else { return }
        var isWell = true
        for peer in peers(of: server) {
            // One that is gone for good lists nothing any more.
            guard !self.server(peer).isLost else { continue }
            guard let told = rebuild.told[peer] else {
                isWell = false
                continue
            }
            let isPresent = told.incarnation >= keyLists[server.keysVersion].fences.incarnation(of: peer)
            let isOpen = told.objects.contains { !hasTaken($0, server) }
            guard !isPresent || isOpen else { continue }
            isWell = isWell && isPlanted(.wellWhileOpen) && isPresent
            // It may have something else by now.
            if generator.chance(percent: 30) { server.rebuild?.told[peer] = nil }
        }
        guard isWell, incompleteness(of: server) == nil else { return }
        note("\(server.node) is well again")
        server.rebuild = nil
        unhealed.remove(server.node)
        step += 1
        wellAtStep[server.node] = step
    }

    private func hasTaken(_ object: CommittedObject, _ server: SimulatedServer) -> Bool {
        guard case .held(let record) = server.disk.record(object.key) else { return false }
        return record.hasTaken(object.timestamp)
    }

    // MARK: Restating

    /// A server has met a certificate that does not count.
    func restate(_ key: ObjectKey, _ certificate: Certificate, _ server: SimulatedServer) {
        guard server.liar == nil else { return }
        if let known = server.restatements[key], known.certificate.timestamp >= certificate.timestamp { return }
        note("\(server.node) restates \(certificate.timestamp) of \(key)")
        server.restatements[key] = RunningRestatement(
            certificate: certificate, statements: certificate.statements.filter(server.verifier.fences.counts))
        askToRestate(key, server)
    }

    /// One more round of all that are under way.
    /// No store goes back here, so nobody whose disk is whole finds out that his has.
    func judgeForgotten(_ key: ObjectKey, _ timestamp: Timestamp, _ server: SimulatedServer) {
        guard !badServers.contains(server.node), !server.hasDecayed, violation == nil else { return }
        violation = Violation(
            .storage, "\(server.node) has signed that it holds \(key) at \(timestamp), and forgotten it")
    }

    func advanceRestatements(_ server: SimulatedServer) {
        for key in server.restatements.keys.sorted() {
            guard let running = server.restatements[key] else { continue }
            let record = server.disk.record(key).value
            let isOutranked = record?.committedTimestamp.map { $0 > running.certificate.timestamp } ?? false
            guard !isOutranked, running.roundCount < Self.restateRoundsMax else {
                server.restatements[key] = nil
                continue
            }
            askToRestate(key, server)
        }
    }

    private func askToRestate(_ key: ObjectKey, _ server: SimulatedServer) {
        guard var running = server.restatements[key] else { return }
        running.roundCount += 1
        let timestamp = running.certificate.timestamp
        if running.descriptor == nil { running.descriptor = server.disk.descriptor(key, timestamp).value }
        server.restatements[key] = running
        let stored = running.statements.filter { $0.claim == .stored }
        let isProven = stored.count >= parameters.quorums.vouchers
        let restate = Restate(
            key: key, certificate: running.certificate, descriptor: isProven ? running.descriptor : nil,
            statements: stored)
        for node in parameters.placement(of: key).nodes {
            if isProven, running.descriptor == nil {
                let read = Read(key: key, version: timestamp, portion: .descriptor)
                question(.read(read), key, of: node, server)
            }
            if !running.statements.contains(where: { $0.node == node }) {
                question(.restate(restate), key, of: node, server)
            }
        }
    }

    private func question(_ request: Request, _ key: ObjectKey, of node: NodeID, _ server: SimulatedServer) {
        verificationCount += 1
        server.questions[verificationCount] = RunningQuestion(key: key, peer: node)
        send(
            request, to: node, route: routeNumber(of: key), client: Self.asker(server.node),
            operation: verificationCount)
    }

    /// What another server, or the same, says to a version that is being restated.
    func restated(_ key: ObjectKey, _ reply: Reply, by node: NodeID, _ server: SimulatedServer) {
        guard var running = server.restatements[key] else { return }
        let timestamp = running.certificate.timestamp
        switch reply {
        case .version(_, let parts?) where parts.descriptor.digest == timestamp.digest:
            running.descriptor = parts.descriptor
        case .prepared(let signed, _) where signed.node == node && signed.claim.accepts:
            guard !running.statements.contains(where: { $0.node == node }),
                (try? server.verifier.verifyCounting(signed, key: key, timestamp: timestamp)) != nil
            else { return }
            running.statements.append(signed)
        default: return
        }
        // Others may have lost their memory meanwhile.
        running.statements.removeAll { !server.verifier.fences.counts($0) }
        server.restatements[key] = running
        let quorum = parameters.quorums.quorum
        guard running.statements.count >= quorum, let replica = replica(of: server, for: key) else { return }
        let made = Certificate(
            epoch: running.certificate.epoch, group: running.certificate.group, timestamp: timestamp,
            statements: Array(running.statements.prefix(quorum)))
        guard let counting = try? server.verifier.verifyCounting(made, key: key) else { return }
        note("\(server.node) has a new certificate of \(timestamp) of \(key)")
        server.restatements[key] = nil
        feed(server, replica, .learned(key, counting, number: 0))
        for node in parameters.placement(of: key).nodes where node != server.node {
            question(.commit(Commit(key: key, certificate: made)), key, of: node, server)
        }
    }

    // MARK: At the end

    /// A server that was wiped and is not well although nobody keeps it from that; nil when there is none.
    var lastingLoss: String? {
        let hasLiars = servers.contains { $0.liar != nil }
        guard !hasLiars, let node = unhealed.min() else { return nil }
        return "\(node) does not get well again"
    }
}

/// Whether a rule is left out that servers keep outside their machines.
private func isPlanted(_ flaw: Flaw) -> Bool {
    #if PlantedFlaws
        Flaw.planted == flaw
    #else
        false
    #endif
}
