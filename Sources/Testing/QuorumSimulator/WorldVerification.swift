// Servers that verify what is committed, in the modes that verify later: each reads its objects from the others through
// the network, as VersionVerifier does it behind sockets.
//
// For the network and for replicas a server that asks is a client with a negative number.

import QuorumProtocol

/// One server's reading of one object.
struct RunningVerification {
    let key: ObjectKey
    var reader: Reader
}

extension World {
    /// What a server's reading is told, beside replies.
    enum VerificationEvent {
        case input(Reader.Input)
        case retransmission(intervalMicroseconds: UInt64)
    }

    /// The number under which a server asks.
    static func asker(_ server: NodeID) -> Int { -1 - Int(server.rawValue) }

    /// The server that asks under a number; nil for a client's.
    static func asking(_ number: Int) -> NodeID? { number < 0 ? NodeID(UInt16(-1 - number)) : nil }

    /// A replica wants an object verified.
    func verify(_ key: ObjectKey, isUrgent: Bool, by server: SimulatedServer) {
        server.queue.add(key, isUrgent: isUrgent, nowMilliseconds: nowMicroseconds / 1000)
        beginVerifications(server)
    }

    /// From now on nobody asks for anything new, and the servers repair what they want and verify what they have put
    /// off. What they hold is judged before they do, since bounds on it say nothing afterwards.
    func beginRest() {
        note("the servers come to rest")
        violation = violation ?? judgeStores()
        phase = .comingToRest
        restDeadlineMicroseconds = nowMicroseconds + Self.restMicroseconds
    }

    /// Ends the run when the servers are at rest.
    func awaitRest() {
        for server in servers where isToBeWhole(server) {
            let behind = keys.lazy.compactMap { key -> String? in
                guard self.parameters.configuration.group(of: key.slot).contains(server.node) else { return nil }
                return self.lag(of: server, key, behind: self.correctMembers(key)).map {
                    "\(server.node) has not heard of \($0) of \(key)"
                }
            }.first
            guard let what = behind ?? incompleteness(of: server) ?? hiddenDamage(at: server) else { continue }
            guard nowMicroseconds >= restDeadlineMicroseconds else { return }
            violation = violation ?? Violation(.liveness, what)
            return
        }
        if let lasting = lastingLoss {
            guard nowMicroseconds >= restDeadlineMicroseconds else { return }
            violation = violation ?? Violation(.liveness, lasting)
            return
        }
        for key in keys where parameters.mode == .lazy {
            let correct = correctMembers(key)
            for server in correct {
                guard let timestamp = unrest(of: server, key, among: correct) else { continue }
                guard nowMicroseconds >= restDeadlineMicroseconds else { return }
                let what = "\(server.node) does not find out whether \(key) at \(timestamp) is sound, or prove it"
                violation = violation ?? Violation(.liveness, what)
                return
            }
        }
        judgeAudits()
        if !decays() { phase = .over }
    }

    /// Correct servers, and those of which parts have rotted and nothing else.
    func isToBeWhole(_ server: SimulatedServer) -> Bool {
        if unhealed.contains(server.node) { return false }
        guard badServers.contains(server.node) else { return true }
        let isRotten = plan.badServers.values.contains { bad in
            if case .rot = bad.kind { bad.server == server.node } else { false }
        }
        return isRotten && plan.stores == nil && server.isUp && keys.allSatisfy { server.disk.record($0).isReadable }
    }

    /// A version that the server has yet to do something about: to find out whether it is sound, to sign that it is
    /// not, or to take over what f + 1 have signed, if so many correct ones have found out. Fewer may have been told
    /// that it is committed, by a writer who wants it so: then it stays unproven.
    private func unrest(
        of server: SimulatedServer, _ key: ObjectKey, among correct: [SimulatedServer]
    ) -> Timestamp? {
        guard let record = server.disk.lastRecord(key) else { return nil }
        let vouchers = parameters.quorums.vouchers
        let unproven = record.poisonous.first { version in
            guard version.statements.count < vouchers else { return false }
            let finders = correct.count { $0.disk.lastRecord(key)?.isPoisonous(version.timestamp) ?? false }
            return finders >= vouchers || !version.statements.contains { $0.node == server.node }
        }
        return record.unverified.first?.timestamp ?? unproven?.timestamp
    }

    func beginVerifications(_ server: SimulatedServer) {
        let isIdle = !server.queue.isEmpty && generator.chance(percent: 50)
        while let key = server.queue.next(nowMilliseconds: nowMicroseconds / 1000, isIdle: isIdle) {
            verificationCount += 1
            let number = verificationCount
            let own = parameters.placement(of: key).position(of: server.node)
            let others = parameters.quorums.positions.filter { $0 != own }
            let reader = Reader(
                parameters: parameters, key: key, wantsValue: true, preference: (own.map { [$0] } ?? []) + others,
                forVerification: true)
            server.verifications[number] = RunningVerification(key: key, reader: reader)
            note("\(server.node) verifies \(key)")
            let patience = plan.patience
            add(.input(.deadline), server, number, afterMicroseconds: Self.verificationMicroseconds)
            add(
                .retransmission(intervalMicroseconds: patience.retransmitMicroseconds), server, number,
                afterMicroseconds: patience.retransmitMicroseconds)
            feed(server, number, .start)
        }
    }

    private func add(
        _ event: VerificationEvent, _ server: SimulatedServer, _ number: Int, afterMicroseconds delay: UInt64
    ) {
        heap.add(.verification(server.node, life: server.life, number: number, event), at: nowMicroseconds + delay)
    }

    func happen(_ event: VerificationEvent, _ server: SimulatedServer, _ number: Int) {
        switch event {
        case .input(let input):
            feed(server, number, input)
        case .retransmission(let interval):
            guard server.verifications[number] != nil else { return }
            let next = min(2 * interval, Self.retransmitMaxMicroseconds)
            add(.retransmission(intervalMicroseconds: next), server, number, afterMicroseconds: next)
            feed(server, number, .retransmit)
        }
    }

    /// Runs an input through a server's reader, unless that is over, and does what follows from it.
    func feed(_ server: SimulatedServer, _ number: Int, _ input: Reader.Input) {
        guard let key = server.verifications[number]?.key else { return }
        var effects: [Reader.Effect] = []
        check(
            Self.advance(&server.verifications[number]!.reader, input, into: &effects),
            of: "\(server.node)'s reader of \(key)")
        for effect in effects {
            switch Reader.step(effect, key: key, verifier: server.verifier) {
            case .send(let position, let request):
                send(
                    request, to: parameters.placement(of: key).node(at: position), route: routeNumber(of: key),
                    client: Self.asker(server.node), operation: number)
            case .work(_, let work), .encode(let work):
                if let deferral = deferral() {
                    add(.input(work()), server, number, afterMicroseconds: deferral)
                } else {
                    feed(server, number, work())
                }
            case .startHedge:
                add(.input(.hedge), server, number, afterMicroseconds: plan.patience.hedgeMicroseconds)
            case .finish(let result):
                var sizeBytes = server.verifications[number]?.reader.checkedBytes ?? 0
                server.verifications[number] = nil
                if case .success(let outcome) = result {
                    sizeBytes = max(sizeBytes, Int(clamping: outcome.descriptor?.descriptor.lengthBytes ?? 0))
                    for timestamp in outcome.poisonous { note("\(server.node) finds \(timestamp) poisonous") }
                    let findings = VersionFindings(outcome, by: server.node)
                    if let replica = replica(of: server, for: key) { feed(server, replica, .found(key, findings)) }
                }
                server.queue.finished(key, sizeBytes: sizeBytes)
                server.queue.spent(processorMicroseconds: Self.verificationProcessorMicroseconds)
                beginVerifications(server)
            }
        }
    }
}
