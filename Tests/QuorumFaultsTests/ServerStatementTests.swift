// What faulty servers sign, acknowledge, refuse and repeat.

import QuorumFaults
import QuorumProtocol
import Testing

extension ServerFaultTests {
    /// The statements of a liar on each PREPARE of the day that an honest server would sign.
    private func statements(
        _ kind: ServerFaultKind, seed: UInt64 = 1
    ) -> [(prepare: Prepare, signed: SignedStatement, committed: Timestamp?, honest: Claim)] {
        day(kind, seed: seed).exchanges.flatMap { exchange, honest in
            exchange.replies.compactMap { reply in
                if case .prepare(let prepare) = exchange.request, case .prepared(let signed, let committed) = reply,
                    case .prepared(let genuine, _) = honest
                {
                    (prepare, signed, committed, genuine.claim)
                } else {
                    nil
                }
            }
        }
    }

    @Test("that signs without storing signs validly and acknowledges commits, and has nothing")
    func signsWithoutStoring() {
        let signed = statements(.signsWithoutStoring)
        #expect(signed.count > 4)
        for (prepare, statement, _, _) in signed {
            #expect(statement.claim == .stored && group.isValid(statement, prepare.key, prepare.timestamp))
        }
        let (host, exchanges) = day(.signsWithoutStoring)
        #expect(host.record(.photo) == ObjectRecord())
        let commits = exchanges.map(\.exchange).filter { if case .commit = $0.request { true } else { false } }
        #expect(!commits.isEmpty && commits.allSatisfy { !$0.replies.isEmpty })
    }

    @Test("that forgets acknowledges every change and makes only some; a frozen one makes only the first")
    func forgetting() {
        for kind in [ServerFaultKind.forgetful, .frozen] {
            let (host, exchanges) = day(kind)
            #expect(host.changes.made < host.changes.wanted && host.changes.made > 0, "\(kind) \(host.changes)")
            #expect(exchanges.allSatisfy { $0.exchange.replies.count == 1 })
        }
    }

    @Test("that claims to be superseded signs so, validly, and stores nothing")
    func superseded() {
        let signed = statements(.supersededLies).filter { $0.honest == .stored }
        #expect(signed.count > 4)
        for (prepare, statement, _, _) in signed {
            #expect(statement.claim == .superseded && group.isValid(statement, prepare.key, prepare.timestamp))
            // A tombstone has no fragments that could be missing.
            let isHeld = day(.supersededLies).host.holds(prepare.timestamp)
            #expect(!isHeld || prepare.fragments.isEmpty)
        }
    }

    @Test(
        "that signs unsoundly or something else gives no statement that counts",
        arguments: [ServerFaultKind.unsoundStatements, .foreignStatements])
    func unsound(kind: ServerFaultKind) {
        var shapes: Set<String> = []
        for seed in 1...10 as ClosedRange<UInt64> {
            let signed = statements(kind, seed: seed)
            #expect(signed.count > 4)
            for (prepare, statement, _, _) in signed {
                #expect(!group.isValid(statement, prepare.key, prepare.timestamp), "seed \(seed)")
                shapes.insert(Self.shape(.prepared(statement, committed: nil)))
            }
        }
        #expect(kind == .foreignStatements || shapes.count >= 6)
    }

    @Test("that alarms signs truthfully and names a committed timestamp that nobody wrote")
    func alarming() {
        let signed = statements(.alarmingPrepared)
        #expect(signed.count > 4)
        for (prepare, statement, committed, honest) in signed {
            #expect(statement.claim == honest && group.isValid(statement, prepare.key, prepare.timestamp))
            #expect(prepare.timestamp.precedes(committed))
        }
    }

    @Test("that acknowledges falsely does so before and in place of a commit")
    func falseAcknowledgements() {
        let (host, exchanges) = day(.falseAcknowledgements)
        #expect(host.record(.other).committed == nil)
        var early = 0
        var wrong = 0
        for (exchange, _) in exchanges {
            for case .committed(let timestamp, _) in exchange.replies {
                switch exchange.request {
                case .prepare(let prepare): early += timestamp == prepare.timestamp ? 1 : 0
                case .commit(let commit): wrong += timestamp == commit.certificate.timestamp ? 0 : 1
                case .readTimestamp, .read, .certificate, .describe, .stage, .discard, .fetch, .listHeld, .restate:
                    Issue.record("an acknowledgement of a question, or of what is not committed")
                }
            }
        }
        #expect(early > 4 && wrong > 0)
    }

    // MARK: Refusals and replies out of place

    @Test("that refuses does so for reasons that are none, most of the time")
    func refusals() {
        let (_, exchanges) = day(.falseRefusals)
        let refused = exchanges.filter { exchange, honest in
            if case .refused = honest { return false }
            if case .refused? = exchange.replies.first { return true }
            return false
        }
        #expect(refused.count > exchanges.count / 2 && refused.count < exchanges.count)
        #expect(Set(refused.map { Self.shape($0.exchange.replies[0]) }).count > 8)
    }

    @Test("that makes up pending versions names valid descriptors under its own valid statements")
    func fabricatedPending() {
        let (host, exchanges) = day(.fabricatedPending)
        #expect(host.record(.photo).held.allSatisfy { !$0.holdsFragments })
        var count = 0
        for (exchange, _) in exchanges {
            guard case .prepare(let prepare) = exchange.request,
                case .refused(.tooManyPending(let versions))? = exchange.replies.first
            else { continue }
            for version in versions {
                #expect(version.timestamp.writer == prepare.timestamp.writer)
                #expect(version.descriptor.digest == version.timestamp.digest)
                #expect(group.isValid(version.statement, prepare.key, version.timestamp))
                #expect(!host.holds(version.timestamp))
                count += 1
            }
        }
        #expect(count >= 8)
    }

    @Test("that hides pending versions names fewer, or none that can be used, and gives up no fragments of them")
    func hiddenPending() {
        for seed in 1...6 as ClosedRange<UInt64> {
            var fullCount = 0
            for (exchange, honest) in day(.hiddenPending, seed: seed).exchanges {
                if case .refused(.tooManyPending(let truth)) = honest,
                    case .refused(.tooManyPending(let shown))? = exchange.replies.first
                {
                    fullCount += 1
                    let usable = shown.filter {
                        group.isValid($0.statement, exchange.request.key, $0.timestamp)
                            && $0.descriptor.digest == $0.timestamp.digest
                    }
                    #expect(usable.count < truth.count)
                }
                if case .read(let read) = exchange.request, read.version != nil {
                    #expect(exchange.replies.map(Self.shape) != [Self.shape(honest)], "seed \(seed)")
                }
            }
            #expect(fullCount > 0)
        }
    }

    @Test("that repeats itself says things that are no answer to what it was asked")
    func replayedReplies() {
        let (_, exchanges) = day(.replayedReplies)
        let foreign = exchanges.flatMap { exchange, _ in
            exchange.replies.filter { reply in
                switch (exchange.request, reply) {
                case (.readTimestamp, .timestamp), (.read, .version), (.prepare, .prepared), (.commit, .committed),
                    (.certificate, .certificate), (.describe, .committed), (_, .refused):
                    false
                default: true
                }
            }
        }
        #expect(foreign.count > 10)
        #expect(exchanges.allSatisfy { $0.exchange.replies.count > 1 })
    }

    @Test("that is contrary never answers with the type of reply that it was asked for")
    func contrary() {
        for (exchange, _) in day(.contraryReplies).exchanges {
            #expect(exchange.replies.count > 1)
            for reply in exchange.replies {
                switch (exchange.request, reply) {
                case (.readTimestamp, .timestamp), (.read, .version), (.prepare, .prepared), (.commit, .committed),
                    (.certificate, .certificate):
                    Issue.record("a fitting reply: \(reply)")
                case (.describe(let describe), .committed(let timestamp, _)):
                    #expect(timestamp != describe.timestamp)
                default: break
                }
            }
        }
    }

    @Test("that does all of it lies in many ways, and is honest in between")
    func mixture() {
        var honestCount = 0
        var lieCount = 0
        for seed in 1...4 as ClosedRange<UInt64> {
            for (exchange, honest) in day(.mixture, seed: seed).exchanges {
                if exchange.replies.map(Self.shape) == [Self.shape(honest)] { honestCount += 1 } else { lieCount += 1 }
            }
        }
        #expect(honestCount > 40 && lieCount > 100)
    }
}
