// What the answers to one AUDIT say together, among liars, servers that are behind, and silent ones.

import ErasureCode
import Fingerprint
import Testing

@testable import QuorumProtocol

@Suite("A round of an audit")
struct AuditRoundTests {
    private static let shapes: [(faults: Int, data: Int)] = [(1, 2), (1, 4), (2, 3)]

    private static func scene(_ shape: Int) -> AuditScene {
        AuditScene(faults: shapes[shape].faults, dataFragmentCount: shapes[shape].data)
    }

    private static func subsets(of nodes: [NodeID], count: Int) -> [[NodeID]] {
        (0..<1 << nodes.count).filter { $0.nonzeroBitCount == count }
            .map { bits in nodes.indices.filter { bits >> $0 & 1 == 1 }.map { nodes[$0] } }
    }

    /// How servers stand, by stripe; nothing where all is well.
    private static func standings(_ findings: AuditFindings) -> [[NodeID: AuditStanding]] {
        findings.troubles.map(\.servers)
    }

    @Test("finds nothing amiss where all have what they should, named or numbered", arguments: shapes.indices)
    func whole(shape: Int) {
        let scene = Self.scene(shape)
        var round = AuditRound(scene.query(), group: scene.group, parameters: scene.parameters)
        for (number, node) in scene.members.enumerated() {
            let query = scene.query(wantsNames: number <= scene.faults)
            let isTaken = round.take(scene.answer(of: node, to: query), to: query, from: node)
            #expect(isTaken)
        }
        let findings = round.findings(trusting: scene.members)
        #expect(findings.stripeCount == scene.stripeCount && findings.troubles.isEmpty && findings.untroubled.isEmpty)
        #expect(round.isEnough && round.end == nil && !round.lacksNames)
    }

    @Test("shows whose fingerprints are wrong, whichever up to f they are", arguments: shapes.indices)
    func wrong(shape: Int) {
        let scene = Self.scene(shape)
        for count in 1...scene.faults {
            for liars in Self.subsets(of: scene.members, count: count) {
                var others: [NodeID: AuditAnswer?] = [:]
                for (number, liar) in liars.enumerated() {
                    others[liar] = scene.answer(of: liar, to: scene.query()) { _, stripe, _ in
                        AuditScene.wrong(10 * number + Int(stripe))
                    }
                }
                for trusted in [
                    scene.members, scene.members.reversed(), liars + scene.members.filter { !liars.contains($0) },
                ] {
                    let findings = scene.round(scene.answers(except: others)).findings(trusting: trusted)
                    let expected = Dictionary(uniqueKeysWithValues: liars.map { ($0, AuditStanding.wrong) })
                    #expect(
                        Self.standings(findings) == Array(repeating: expected, count: scene.stripeCount), "\(liars)")
                    let isConclusive = findings.troubles.allSatisfy(\.isConclusive)
                    #expect(isConclusive)
                }
            }
        }
    }

    @Test("blames nobody for what f + 1 say differently, and tells only what servers say of themselves")
    func tooMany() {
        let scene = AuditScene()
        let (liar, poor) = (scene.members[1], scene.members[2])
        let lie = scene.answer(of: liar, to: scene.query()) { _, _, _ in AuditScene.wrong(1) }
        let lost = scene.answer(of: poor, to: scene.query()) { _, _, _ in .missing }
        for (answer, standing) in [(lost, AuditStanding.missing), (AuditAnswer(versions: [], next: nil), .silent)] {
            let findings = scene.round(scene.answers(except: [liar: lie, poor: answer])).findings(
                trusting: scene.members)
            #expect(Self.standings(findings) == Array(repeating: [poor: standing], count: scene.stripeCount))
            let isInconclusive = findings.troubles.allSatisfy { !$0.isConclusive }
            #expect(isInconclusive)
        }
    }

    @Test("tells what a server says of its own fragment", arguments: [AuditedFragment.missing, .void, .unreadable])
    func confessed(fragment: AuditedFragment) {
        let scene = AuditScene()
        let node = scene.members[3]
        let answer = scene.answer(of: node, to: scene.query()) { _, stripe, right in stripe == 2 ? fragment : right }
        let findings = scene.round(scene.answers(except: [node: answer])).findings(trusting: scene.members)
        let standing: AuditStanding =
            switch fragment {
            case .missing: .missing
            case .void: .void
            default: .unreadable
            }
        #expect(Self.standings(findings) == [[node: standing]])
        #expect(findings.troubles[0].stripe == 2 && findings.troubles[0].isConclusive)
    }

    @Test("takes no version from f servers alone", arguments: shapes.indices)
    func invented(shape: Int) {
        let scene = Self.scene(shape)
        for counter in [1, 9] as [UInt64] {
            var others: [NodeID: AuditAnswer?] = [:]
            for liar in scene.members.prefix(scene.faults) {
                others[liar] = scene.answer(of: liar, to: scene.query(), counter: counter)
            }
            let findings = scene.round(scene.answers(except: others)).findings(trusting: scene.members)
            // They have not what the others have: who tells of a higher version may be ahead of these.
            let standing: AuditStanding = counter == 1 ? .missing : .ahead
            let expected = Dictionary(uniqueKeysWithValues: scene.members.prefix(scene.faults).map { ($0, standing) })
            #expect(Self.standings(findings) == Array(repeating: expected, count: scene.stripeCount))
            #expect(findings.stripeCount == scene.stripeCount)
            let areRight = findings.troubles.allSatisfy { $0.timestamp.counter == 5 && $0.isConclusive }
            #expect(areRight)
        }
    }

    @Test("blames no correct server for an old version that liars tell of beside one that is behind")
    func behind() {
        let scene = AuditScene()
        let (liar, behind) = (scene.members[0], scene.members[1])
        let answers = scene.answers(except: [
            liar: scene.answer(of: liar, to: scene.query(), counter: 1),
            behind: scene.answer(of: behind, to: scene.query(), counter: 1),
        ])
        let findings = scene.round(answers).findings(trusting: scene.members)
        #expect(findings.stripeCount == scene.stripeCount)
        for trouble in findings.troubles {
            #expect(trouble.timestamp.counter == 5 && !trouble.isConclusive)
            #expect(trouble.servers == [liar: .silent, behind: .silent])
        }
        // Nor for a new one beside one that is ahead.
        let ahead = scene.round(
            scene.answers(except: [
                liar: scene.answer(of: liar, to: scene.query(), counter: 9),
                behind: scene.answer(of: behind, to: scene.query(), counter: 9),
            ])
        ).findings(trusting: scene.members)
        for trouble in ahead.troubles {
            #expect(trouble.timestamp.counter == 9 && !trouble.isConclusive)
            #expect(trouble.servers == [scene.members[2]: .silent, scene.members[3]: .silent])
        }
        #expect(ahead.troubles.count == scene.stripeCount)
    }

    @Test("shows who leaves out versions")
    func leftOut() {
        let scene = AuditScene()
        let (node, key) = (scene.members[2], scene.objects[1].key)
        let answer = scene.answer(of: node, to: scene.query(), isTold: { $0 != key })
        let findings = scene.round(scene.answers(except: [node: answer])).findings(trusting: scene.members)
        #expect(Self.standings(findings) == Array(repeating: [node: .missing], count: scene.objects[1].stripes.count))
        let keys = Set(findings.troubles.map(\.key))
        #expect(keys == [key])
    }

    @Test("notices that those who name leave out, or have not, what others number")
    func unnamed() {
        let scene = AuditScene()
        let (liar, behind) = (scene.members[0], scene.members[1])
        let (named, numbered) = (scene.query(), scene.query(wantsNames: false))
        let wrong = { (_: ObjectKey, _: UInt64, _: AuditedFragment) in AuditScene.wrong(1) }
        for hidesAll in [true, false] {
            let isTold = { (key: ObjectKey) in !hidesAll && key != scene.objects[0].key }
            var round = AuditRound(named, group: scene.group, parameters: scene.parameters)
            for node in [liar, behind] {
                _ = round.take(scene.answer(of: node, to: named, change: wrong, isTold: isTold), to: named, from: node)
            }
            #expect(!round.lacksNames)
            _ = round.take(scene.answer(of: scene.members[2], to: numbered), to: numbered, from: scene.members[2])
            // One may make it up.
            #expect(!round.lacksNames)
            _ = round.take(scene.answer(of: scene.members[3], to: numbered), to: numbered, from: scene.members[3])
            #expect(round.lacksNames)
        }
    }

    @Test("lets nobody who ends early hide what others tell of, nor hold them up")
    func earlyEnd() throws {
        let scene = AuditScene(stripeCounts: [1, 1, 3, 1])
        let node = scene.members[1]
        let first = scene.objects[0]
        let early = AuditAnswer(
            versions: Array(scene.answer(of: node, to: scene.query()).versions.prefix(1)),
            next: AuditPlace(first.key).successor)
        let round = scene.round(scene.answers(except: [node: early]))
        #expect(round.end == nil)
        let findings = round.findings(trusting: scene.members)
        #expect(findings.stripeCount == scene.stripeCount && findings.troubles.isEmpty)
        #expect(findings.untroubled == [node: [.silent: UInt64(scene.stripeCount - first.stripes.count)]])

        // One of f + 1 is correct: the others come back to what lies behind it.
        let second = scene.members[2]
        let later = AuditPlace(scene.objects[2].key, stripe: 1)
        let answer = scene.answer(of: second, to: scene.query(before: later))
        let cut = AuditAnswer(versions: answer.versions, next: later)
        let both = scene.round(scene.answers(except: [node: early, second: cut]))
        #expect(both.end == later)
        let few = both.findings(trusting: scene.members)
        let told = scene.objects.prefix(2).reduce(1) { $0 + $1.stripes.count }
        #expect(few.stripeCount == told && few.troubles.isEmpty)
    }

    @Test("goes on where a narrower question ended")
    func narrower() {
        let scene = AuditScene()
        let before = AuditPlace(scene.objects[1].key, stripe: 1)
        var round = AuditRound(scene.query(), group: scene.group, parameters: scene.parameters)
        for (number, node) in scene.members.enumerated() {
            let query = scene.query(before: number == 0 ? nil : before, wantsNames: number < 2)
            _ = round.take(scene.answer(of: node, to: query), to: query, from: node)
        }
        #expect(round.end == before)
        let findings = round.findings(trusting: scene.members)
        #expect(findings.stripeCount == scene.objects[0].stripes.count + 1 && findings.troubles.isEmpty)
    }

    @Test("counts servers that say nothing as silent, and needs all but f")
    func silent() {
        let scene = AuditScene()
        var answers = scene.answers()
        let silent = scene.members[3]
        answers[silent] = nil
        let round = scene.round(answers)
        let findings = round.findings(trusting: scene.members)
        #expect(round.isEnough && round.answerCount == 3 && round.silent == [silent])
        #expect(findings.troubles.isEmpty && findings.untroubled == [silent: [.silent: UInt64(scene.stripeCount)]])
        answers[scene.members[0]] = nil
        #expect(!scene.round(answers).isEnough)
    }

    @Test("asks no fragments of those that a writer left out, if more than f servers say so", arguments: [1, 2, 3])
    func spares(sayingCount: Int) {
        let scene = AuditScene()
        let saying = scene.members.prefix(sayingCount)
        var answers = scene.answers()
        for (node, answer) in answers {
            let versions = answer.versions.compactMap { version -> AuditedStripes? in
                guard case .named(let key, _) = version.name else { return nil }
                let isSpare = scene.parameters.placement(of: key).position(of: node) == 3
                return isSpare
                    ? nil
                    : AuditedStripes(
                        version.name, first: version.first, fragments: version.fragments,
                        leavesSpares: saying.contains(node))
            }
            answers[node] = AuditAnswer(versions: versions, next: nil)
        }
        let findings = scene.round(answers).findings(trusting: scene.members)
        for object in scene.objects {
            let node = scene.parameters.placement(of: object.key).nodes[3]
            // Whoever has none for this object says nothing of it either.
            let isExcused = saying.count { $0 != node } > scene.faults
            let troubles = findings.troubles.filter { $0.key == object.key }
            #expect(troubles.count == (isExcused ? 0 : object.stripes.count))
            let areMissing = troubles.allSatisfy { $0.servers == [node: .missing] }
            #expect(areMissing)
        }
        let spared = findings.untroubled.values.reduce(0) { $0 + ($1[.spare] ?? 0) }
        #expect(Int(spared) + findings.troubles.count == scene.stripeCount)
    }

    @Test("leaves out objects of other groups, whoever tells of them")
    func otherGroups() {
        let cluster = OverlappingCluster()
        let (own, other) = (cluster.group(0), cluster.group(1))
        let keys = [cluster.object(of: own), cluster.object(of: other)].sorted { AuditPlace($0) < AuditPlace($1) }
        let query = AuditQuery(
            group: own.id, from: AuditPlace(Slot(0)), point: AuditScene.point, wantsNames: true)
        var round = AuditRound(query, group: own, parameters: cluster.parameters)
        let answer = AuditAnswer(
            versions: keys.map {
                AuditedStripes(.named($0, AuditScene.timestamp($0, 1)), first: 0, fragments: [.missing])
            }, next: nil)
        for node in own.members {
            let isTaken = round.take(answer, to: query, from: node)
            #expect(isTaken)
        }
        let findings = round.findings(trusting: own.members)
        #expect(findings.stripeCount == 1)
        #expect(findings.troubles.map(\.key) == [cluster.object(of: own)])
    }
}
