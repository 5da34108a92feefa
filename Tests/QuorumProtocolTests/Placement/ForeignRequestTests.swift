// Requests that reach the wrong replica: a node answers for an object only in the object's group, and stores only its
// own position's fragments.

import ErasureCode
import Fingerprint
import QuorumProtocol
import Testing

@Suite("A replica of one of several groups")
struct ForeignRequestTests {
    let cluster = OverlappingCluster()

    private func requests(_ version: TestVersion, to node: NodeID, in group: Group) -> [Request] {
        let position = cluster.parameters.placement(of: version.key).position(of: node) ?? Position(0)
        let certificate = cluster.certificate(of: version, by: Array(group.members.prefix(3)), in: group)
        return [
            .readTimestamp(version.key), .read(Read(key: version.key, portion: .fragments)),
            .read(Read(key: version.key, version: version.timestamp, portion: .descriptor)),
            .prepare(version.prepare(for: position)), version.commit(certificate),
        ]
    }

    @Test(
        "refuses all that is asked of another group's object, although its node is in that group as well",
        arguments: OverlappingGroupsTests.pairs)
    func foreignGroup(own: UInt32, other: UInt32) {
        let (own, other) = (cluster.group(own), cluster.group(other))
        let version = cluster.version(cluster.object(of: other))
        for node in own.members {
            let replica = cluster.replica(of: node, in: own)
            for principal in [Principal.client(.alice), .server(own.members[0]), .server(other.members[0])] {
                for request in requests(version, to: node, in: other) {
                    let answer = cluster.answer(of: replica, to: request, from: principal)
                    #expect(answer.reply == .refused(.foreignGroup(own.id, expected: other.id)), "\(node): \(request)")
                    #expect(answer.stored.isEmpty)
                }
            }
        }
        // The same requests are granted by the same nodes' replicas of the object's group.
        for node in own.members where other.contains(node) {
            let replica = cluster.replica(of: node, in: other)
            for request in requests(version, to: node, in: other) {
                if case .refused(let refusal)? = cluster.answer(of: replica, to: request).reply {
                    Issue.record("\(node): \(refusal)")
                }
            }
        }
    }

    @Test(
        "refuses a certificate of another group, as COMMIT and as justification",
        arguments: OverlappingGroupsTests.pairs)
    func foreignCertificate(own: UInt32, other: UInt32) {
        let (own, other) = (cluster.group(own), cluster.group(other))
        let key = cluster.object(of: own)
        let (version, next) = (cluster.version(key), cluster.version(key, "next", counter: 2))
        let common = own.members.filter(other.contains)
        let certificate = cluster.certificate(of: version, by: common, in: other)
        let expected = Reply.refused(.invalidCertificate(.foreignGroup(other.id, expected: own.id)))
        let placement = cluster.parameters.placement(of: key)
        for node in own.members {
            let replica = cluster.replica(of: node, in: own)
            let commit = cluster.answer(of: replica, to: version.commit(certificate))
            #expect(commit.reply == expected && commit.stored.isEmpty)
            guard let position = placement.position(of: node) else { return }
            let prepare = cluster.answer(
                of: replica, to: .prepare(next.prepare(for: position, justification: certificate)))
            #expect(prepare.reply == expected && prepare.stored.isEmpty)
        }
    }

    @Test("signs in its own group's name and epoch only", arguments: 0..<5)
    func signsForItsGroup(number: UInt32) throws {
        let own = cluster.group(number)
        let version = cluster.version(cluster.object(of: own))
        let placement = cluster.parameters.placement(of: version.key)
        for node in own.members {
            let position = try #require(placement.position(of: node))
            let answer = cluster.answer(
                of: cluster.replica(of: node, in: own), to: .prepare(version.prepare(for: position)))
            guard case .prepared(let signed, _)? = answer.reply else {
                Issue.record("\(node): \(String(describing: answer.reply))")
                continue
            }
            #expect(signed.node == node)
            #expect(throws: Never.self) {
                try cluster.verifier().verify(signed, key: version.key, timestamp: version.timestamp)
            }
        }
    }

    @Test(
        "stores the fragments of its own position, and refuses those of any other, whoever they belong to",
        arguments: VerificationMode.allCases)
    func positions(mode: VerificationMode) throws {
        let cluster = OverlappingCluster(mode: mode)
        for number in 0..<5 as Range<UInt32> {
            let own = cluster.group(number)
            for object in 0..<4 {
                let version = cluster.version(cluster.object(of: own, number: object))
                let placement = cluster.parameters.placement(of: version.key)
                for node in own.members {
                    let expected = try #require(placement.position(of: node))
                    let replica = cluster.replica(of: node, in: own)
                    for position in cluster.parameters.quorums.positions {
                        let answer = cluster.answer(of: replica, to: .prepare(version.prepare(for: position)))
                        guard position == expected else {
                            #expect(answer.reply == .refused(.foreignPosition(position, expected: expected)))
                            #expect(answer.stored.isEmpty)
                            continue
                        }
                        guard case .prepared(let signed, _)? = answer.reply else {
                            Issue.record("\(node), \(position): \(String(describing: answer.reply))")
                            continue
                        }
                        #expect(signed.node == node && signed.claim == .stored)
                        #expect(answer.stored.count == 1)
                    }
                }
            }
        }
    }

    @Test("refuses its own fragments under a position that it has not, or that nobody has", arguments: [4, 5, 255])
    func unknownPosition(number: UInt8) throws {
        let own = cluster.group(1)
        let version = cluster.version(cluster.object(of: own))
        let placement = cluster.parameters.placement(of: version.key)
        for node in own.members {
            let expected = try #require(placement.position(of: node))
            for position in [Position(number), Position((expected.rawValue + 1) % 4)] {
                let prepare = Prepare(
                    key: version.key, timestamp: version.timestamp, position: position,
                    descriptor: version.descriptor, fragments: version.fragments[expected.offset])
                let answer = cluster.answer(of: cluster.replica(of: node, in: own), to: .prepare(prepare))
                #expect(answer.reply == .refused(.foreignPosition(position, expected: expected)))
                #expect(answer.stored.isEmpty)
            }
        }
    }
}
