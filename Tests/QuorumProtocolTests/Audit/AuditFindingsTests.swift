// What two looks at a stripe say together.

import Testing

@testable import QuorumProtocol

@Suite("A second look")
struct AuditFindingsTests {
    private static let (a, b) = (NodeID(1), NodeID(2))
    private typealias Look = (servers: [NodeID: AuditStanding], isConclusive: Bool)

    private static func findings(_ looks: [Look?], counter: UInt64 = 1) -> AuditFindings {
        var findings = AuditFindings()
        findings.stripeCount = UInt64(looks.count)
        findings.troubles = looks.enumerated().compactMap { stripe, look in
            look.map {
                AuditTrouble(
                    key: .photo, timestamp: AuditScene.timestamp(.photo, counter), stripe: UInt64(stripe),
                    servers: $0.servers, isConclusive: $0.isConclusive)
            }
        }
        return findings
    }

    /// The trouble that two looks show, if they show one.
    private static func both(_ first: Look, _ second: Look?) -> AuditTrouble? {
        var findings = findings([first])
        findings.confirm(Self.findings([second]))
        return findings.troubles.first
    }

    @Test("drops what is well by then, or of another version")
    func settled() {
        let look: Look = ([Self.a: .missing], true)
        #expect(Self.both(look, nil) == nil)
        #expect(Self.both(look, ([Self.b: .missing], true)) == nil)
        var findings = Self.findings([look])
        findings.confirm(Self.findings([look], counter: 2))
        #expect(findings.troubles.isEmpty && findings.stripeCount == 1)
    }

    @Test("keeps what is still so, stripe by stripe")
    func confirmed() {
        let look: Look = ([Self.a: .wrong], true)
        var findings = Self.findings([look, look, nil, look])
        findings.confirm(Self.findings([nil, look, look, look]))
        #expect(findings.troubles.map(\.stripe) == [1, 3])
        let areSo = findings.troubles.allSatisfy { $0.servers == [Self.a: .wrong] && $0.isConclusive }
        #expect(areSo)
    }

    @Test("takes of two standings the one that says less, but that silence makes nobody right")
    func standings() {
        let all: [(AuditStanding, AuditStanding, AuditStanding)] = [
            (.wrong, .wrong, .wrong), (.wrong, .missing, .missing), (.missing, .ahead, .ahead),
            (.missing, .unreadable, .unreadable), (.wrong, .silent, .wrong),
        ]
        for (one, other, result) in all {
            for (first, second) in [(one, other), (other, one)] {
                let trouble = Self.both(([Self.a: first], true), ([Self.a: second], true))
                #expect(trouble?.servers == [Self.a: result], "\(first) and \(second)")
            }
        }
        // Who only did not answer is in no trouble.
        #expect(Self.both(([Self.a: .missing], true), ([Self.a: .silent], true)) == nil)
    }

    @Test("and the first one may each be the one that shows who is wrong")
    func oneConclusive() {
        // The first time somebody else did not answer.
        let wrong: Look = ([Self.a: .wrong], true)
        let open: Look = ([Self.b: .silent], false)
        for (first, second) in [(wrong, open), (open, wrong)] {
            let trouble = Self.both(first, second)
            #expect(trouble?.servers == [Self.a: .wrong] && trouble?.isConclusive == true)
        }
        let trouble = Self.both(open, open)
        #expect(trouble?.servers == [Self.b: .silent] && trouble?.isConclusive == false)
    }

    @Test("counts as unanswered what was no more than that")
    func unanswered() {
        var findings = Self.findings([([Self.a: .missing, Self.b: .wrong], true)])
        findings.untroubled = [Self.b: [.silent: 4]]
        findings.confirm(Self.findings([([Self.a: .silent, Self.b: .wrong], true)]))
        #expect(findings.untroubled == [Self.a: [.silent: 1], Self.b: [.silent: 4]])
        #expect(findings.troubles.first?.servers == [Self.a: .silent, Self.b: .wrong])
    }

    @Test("of several rounds adds up what they show")
    func added() {
        let look: Look = ([Self.a: .wrong], true)
        var findings = Self.findings([look, nil])
        findings.untroubled = [Self.b: [.silent: 2]]
        var next = Self.findings([nil, nil, look])
        next.untroubled = [Self.a: [.silent: 1], Self.b: [.silent: 3, .spare: 1]]
        findings.add(next)
        #expect(findings.stripeCount == 5 && findings.troubles.map(\.stripe) == [0, 2])
        #expect(findings.untroubled == [Self.a: [.silent: 1], Self.b: [.silent: 5, .spare: 1]])
    }
}
