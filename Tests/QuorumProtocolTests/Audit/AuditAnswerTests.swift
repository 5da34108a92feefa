// What can be the answer to an AUDIT, and the order of places.

import Fingerprint
import Testing

@testable import QuorumProtocol

@Suite("An answer to AUDIT")
struct AuditAnswerTests {
    private let scene = AuditScene(stripeCounts: [1, 1, 4])
    private var node: NodeID { scene.members[0] }

    private func isTaken(_ answer: AuditAnswer, to query: AuditQuery, from node: NodeID? = nil) -> Bool {
        var round = AuditRound(scene.query(from: query.from), group: scene.group, parameters: scene.parameters)
        return round.take(answer, to: query, from: node ?? self.node)
    }

    private func renamed(_ answer: AuditAnswer, _ names: [AuditedName]) -> AuditAnswer {
        AuditAnswer(
            versions: zip(answer.versions, names).map { AuditedStripes($1, first: $0.first, fragments: $0.fragments) },
            next: answer.next)
    }

    @Test("comes from a member")
    func members() {
        let query = scene.query()
        let answer = scene.answer(of: node, to: query)
        #expect(isTaken(answer, to: query))
        #expect(!isTaken(answer, to: query, from: NodeID(999)))
    }

    @Test("names each version once, in order, where names are wanted, and numbers each once where they are not")
    func names() {
        let (named, numbered) = (scene.query(), scene.query(wantsNames: false))
        let (naming, numbering) = (scene.answer(of: node, to: named), scene.answer(of: node, to: numbered))
        #expect(isTaken(naming, to: named) && isTaken(numbering, to: numbered))
        #expect(!isTaken(naming, to: numbered) && !isTaken(numbering, to: named))
        let reversed = AuditAnswer(versions: naming.versions.reversed(), next: nil)
        #expect(!isTaken(reversed, to: named))
        let name = naming.versions[0].name
        #expect(!isTaken(renamed(naming, [name, name]), to: named))
        // Two versions of one object.
        guard case .named(let key, _) = name else { return }
        let other = AuditedName.named(key, AuditScene.timestamp(key, 77))
        #expect(!isTaken(renamed(naming, [name, other]), to: named))
        #expect(isTaken(renamed(numbering, [.numbered(1), .numbered(2)]), to: numbered))
        #expect(!isTaken(renamed(numbering, [.numbered(1), .numbered(1)]), to: numbered))
    }

    @Test("is of places that were asked for")
    func range() {
        let (first, last) = (scene.objects[0], scene.objects[2])
        let all = scene.answer(of: node, to: scene.query())
        #expect(!isTaken(all, to: scene.query(from: AuditPlace(scene.objects[1].key))))
        #expect(!isTaken(all, to: scene.query(before: AuditPlace(last.key))))
        for (from, before) in [
            (AuditPlace(Slot(0)), AuditPlace(last.key)), (AuditPlace(first.key, stripe: 1), nil),
        ] as [(AuditPlace, AuditPlace?)] {
            let query = scene.query(from: from, before: before)
            #expect(isTaken(scene.answer(of: node, to: query), to: query))
        }
    }

    @Test("goes on behind where the question began, and before its end")
    func next() {
        let (from, before) = (AuditPlace(scene.objects[1].key), AuditPlace(scene.objects[2].key, stripe: 2))
        let query = scene.query(from: from, before: before)
        let nexts: [(AuditPlace, Bool)] = [
            (from, false), (AuditPlace(scene.objects[0].key), false), (AuditPlace(from.slot), false),
            (from.successor, true), (AuditPlace(scene.objects[2].key, stripe: 1), true), (before, false),
            (before.successor, false),
        ]
        for (next, isOne) in nexts {
            #expect(isTaken(AuditAnswer(versions: [], next: next), to: query) == isOne, "\(next)")
        }
    }

    @Test("is to a question that begins where the round does")
    func beginning() {
        var round = AuditRound(scene.query(), group: scene.group, parameters: scene.parameters)
        let query = scene.query(from: AuditPlace(scene.objects[1].key))
        let isTaken = round.take(scene.answer(of: node, to: query), to: query, from: node)
        #expect(!isTaken && round.answerCount == 0)
    }

    @Test("Places are in the order of slots, keys and stripes, a slot's beginning before its objects")
    func order() {
        let key = scene.objects[1].key
        let ascending = [
            AuditPlace(Slot(0)), AuditPlace(key.slot), AuditPlace(key), AuditPlace(key, stripe: 1),
            AuditPlace(key, stripe: .max), AuditPlace(Slot(4095)),
        ]
        #expect(key.slot > Slot(0) && key.slot < Slot(4095))
        for (left, first) in ascending.enumerated() {
            for (right, second) in ascending.enumerated() { #expect((first < second) == (left < right)) }
        }
        #expect(AuditPlace(key).successor == AuditPlace(key, stripe: 1))
    }

    @Test("A version's number depends on key, version and point")
    func numbers() {
        let key = scene.objects[0].key
        let numbers = [
            AuditedName.number(of: key, AuditScene.timestamp(key, 1), at: AuditScene.point),
            AuditedName.number(of: key, AuditScene.timestamp(key, 2), at: AuditScene.point),
            AuditedName.number(of: scene.objects[1].key, AuditScene.timestamp(key, 1), at: AuditScene.point),
            AuditedName.number(of: key, AuditScene.timestamp(key, 1), at: AuditScene.point.reversed()),
        ]
        #expect(Set(numbers).count == 4)
        #expect(numbers[0] == AuditedName.number(of: key, AuditScene.timestamp(key, 1), at: AuditScene.point))
    }
}
