// A group's objects, and what servers answer to AUDIT that have all of them.

import ErasureCode
import Fingerprint

@testable import QuorumProtocol

/// Objects of one group, in the order of their places.
struct AuditScene {
    struct Stored {
        let key: ObjectKey
        let timestamp: Timestamp
        /// Of each stripe the fragments by position.
        let stripes: [[SharedBytes]]
    }

    static let point = (0..<UInt8(AuditQuery.pointSizeBytes)).map { 3 &+ 17 &* $0 }

    let parameters: ClusterParameters
    let group: Group
    let objects: [Stored]

    /// - Parameter stripeCounts: of each object.
    init(faults: Int = 1, dataFragmentCount: Int? = nil, stripeCounts: [Int] = [1, 3, 1]) {
        let cluster = TestGroup(faults: faults, dataFragmentCount: dataFragmentCount)
        parameters = cluster.parameters
        group = cluster.members
        let code = cluster.quorums.code
        objects = stripeCounts.enumerated().map { number, count in
            let key = ObjectKey.of("audited/\(number)")
            let stripes = (0..<count).map { stripe in
                code.encode(block: SharedBytes((0..<60).map { UInt8(truncatingIfNeeded: $0 * (number + 3) + stripe) }))
            }
            return Stored(key: key, timestamp: Self.timestamp(key, 5), stripes: stripes)
        }.sorted { AuditPlace($0.key) < AuditPlace($1.key) }
    }

    static func timestamp(_ key: ObjectKey, _ counter: UInt64) -> Timestamp {
        Timestamp(counter: counter, writer: .alice, digest: .sha256(key.bytes))
    }

    var members: [NodeID] { group.members }
    var faults: Int { parameters.quorums.faults }
    var stripeCount: Int { objects.reduce(0) { $0 + $1.stripes.count } }

    func query(
        from: AuditPlace = AuditPlace(Slot(0)), before: AuditPlace? = nil, wantsNames: Bool = true
    ) -> AuditQuery {
        AuditQuery(group: group.id, from: from, before: before, point: Self.point, wantsNames: wantsNames)
    }

    /// What a server answers.
    ///
    /// - Parameters:
    ///   - counter: of the version that it tells of.
    ///   - change: what it says of a stripe instead.
    ///   - isTold: whether it tells of the object.
    func answer(
        of node: NodeID, to query: AuditQuery, counter: UInt64 = 5,
        change: (_ key: ObjectKey, _ stripe: UInt64, _ right: AuditedFragment) -> AuditedFragment = { $2 },
        isTold: (ObjectKey) -> Bool = { _ in true }
    ) -> AuditAnswer {
        let point = FingerprintPoint(query.point)
        let versions = objects.compactMap { object -> AuditedStripes? in
            let stripes = object.stripes.indices.filter {
                query.contains(AuditPlace(object.key, stripe: UInt64($0)))
            }
            guard isTold(object.key), let first = stripes.first,
                let position = parameters.placement(of: object.key).position(of: node)
            else { return nil }
            let timestamp = counter == 5 ? object.timestamp : Self.timestamp(object.key, counter)
            let name =
                query.wantsNames
                ? AuditedName.named(object.key, timestamp)
                : .numbered(AuditedName.number(of: object.key, timestamp, at: query.point))
            return AuditedStripes(
                name, first: UInt64(first),
                fragments: stripes.map { stripe in
                    let right = AuditedFragment.held(
                        point.fingerprint(of: object.stripes[stripe][position.offset]))
                    return change(object.key, UInt64(stripe), right)
                })
        }
        return AuditAnswer(versions: versions, next: nil)
    }

    /// A fingerprint that nobody's fragment has.
    static func wrong(_ seed: Int) -> AuditedFragment {
        guard let fingerprint = Fingerprint(bytes: Array(Digest256.sha256([UInt8(seed & 0xff)]).bytes.prefix(16)))
        else { preconditionFailure("it has 16 bytes") }
        return .held(fingerprint)
    }

    /// The round in which these servers answer, each as it does.
    func round(_ answers: [NodeID: AuditAnswer], to query: AuditQuery? = nil) -> AuditRound {
        let query = query ?? self.query()
        var round = AuditRound(query, group: group, parameters: parameters)
        for (node, answer) in answers { _ = round.take(answer, to: query, from: node) }
        return round
    }

    /// The honest answers of all, but for those that answer otherwise.
    func answers(
        to query: AuditQuery? = nil, except others: [NodeID: AuditAnswer?] = [:]
    ) -> [NodeID: AuditAnswer] {
        var answers: [NodeID: AuditAnswer] = [:]
        for node in members { answers[node] = others[node] ?? answer(of: node, to: query ?? self.query()) }
        return answers
    }
}
