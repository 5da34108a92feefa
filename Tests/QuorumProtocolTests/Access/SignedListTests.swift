// Lists that the operator signs: what is believed, and what may follow what.

import Crypto
import Fingerprint
import Testing

@testable import QuorumProtocol

@Suite struct SignedListTests {
    private static let operatorKey = P256.Signing.PrivateKey()
    private static let cluster = ClusterID(high: 7, low: 8)
    private static let configuration = Configuration(
        cluster: cluster, quorums: try! QuorumConfiguration(faults: 1))
    private static let statementKeys = (0..<6).map { _ in P256.Signing.PrivateKey().publicKey }

    private static func addresses(_ basePort: Int = 7000) -> AddressList {
        try! AddressList(
            (0..<4).map { number in
                AddressEntry(
                    node: NodeID(UInt16(number)), address: NetworkAddress(host: "::1", port: basePort + number)!,
                    pin: .sha256([UInt8(number)]))
            })
    }

    /// The first keys of all servers, and further lives of server 0.
    private static func keys(lives: Int = 1) -> KeyList {
        try! KeyList(
            (0..<4).map { KeyEntry(node: NodeID(UInt16($0)), incarnation: Incarnation(1), key: statementKeys[$0]) }
                + (1..<lives).map {
                    KeyEntry(node: NodeID(0), incarnation: Incarnation(UInt64($0 + 1)), key: statementKeys[3 + $0])
                })
    }

    private static func access(_ names: [String]) -> AccessList {
        try! AccessList(
            names.enumerated().map { place, name in
                AccessEntry(
                    name: name, id: ClientID(high: 0, low: UInt64(place)), pin: .sha256([UInt8(100 + place)]),
                    grants: [Grant("*:read")!, Grant("photos:write")!],
                    quotas: [
                        ClientQuotas(), ClientQuotas(storedBytes: 1 << 40, bareVersions: 1),
                        ClientQuotas(uncommittedPercent: 100),
                    ][place % 3])
            })
    }

    private static func signed<Contents: ClusterList>(
        _ contents: Contents, _ version: UInt64, by key: P256.Signing.PrivateKey = operatorKey,
        cluster: ClusterID = cluster
    ) -> SignedList<Contents> {
        try! SignedList(contents, cluster: cluster, version: version, signedBy: key)
    }

    private static var lists: ClusterLists {
        try! ClusterLists(
            addresses: signed(addresses(), 3), keys: signed(keys(), 3), access: signed(access(["a", "b"]), 3),
            for: configuration)
    }

    private static func open(_ bytes: [UInt8]) throws(ListError) -> AnySignedList {
        try AnySignedList(decoding: bytes, cluster: cluster, checkedBy: OperatorKey(operatorKey.publicKey))
    }

    private static let samples: [AnySignedList] = [
        .addresses(signed(addresses(), 1)), .keys(signed(keys(lives: 2), 2)), .access(signed(access(["a", "b"]), 5)),
        .access(signed(access([]), .max)),
    ]

    @Test("A signed list reads back from its bytes, and says what it is before it is believed", arguments: 0..<4)
    func readsBack(sample: Int) throws {
        let list = Self.samples[sample]
        #expect(try Self.open(list.bytes) == list)
        let claim = try #require(AnySignedList.claim(of: list.bytes))
        #expect(claim.kind == list.kind && claim.version == list.version)
    }

    @Test("No byte of a list can be changed, dropped or added", arguments: 0..<4)
    func forgeries(sample: Int) throws {
        let bytes = Self.samples[sample].bytes
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1 << UInt8(place % 8)
            #expect(throws: ListError.self) { try Self.open(changed) }
        }
        for count in 0..<bytes.count { #expect(throws: ListError.self) { try Self.open(Array(bytes.prefix(count))) } }
        #expect(throws: ListError.self) { try Self.open(bytes + [0]) }
    }

    @Test("Another key's list, another cluster's, and a configuration are no lists of this cluster")
    func foreign() throws {
        let forged = AnySignedList.access(Self.signed(Self.access(["a"]), 9, by: P256.Signing.PrivateKey()))
        #expect(throws: ListError.wrongSignature(.access, version: 9)) { try Self.open(forged.bytes) }
        let other = ClusterID(high: 7, low: 9)
        let foreign = AnySignedList.access(Self.signed(Self.access(["a"]), 9, cluster: other))
        #expect(throws: ListError.foreignCluster(.access, other)) { try Self.open(foreign.bytes) }
        let message = OperatorSignature.message(.configuration, cluster: Self.cluster, version: 1, contents: [])
        let signature = try OperatorSignature.make(message, Self.operatorKey)
        #expect(throws: ListError.self) { try Self.open(message + signature) }
    }

    @Test("Well signed nonsense is no list")
    func signedNonsense() throws {
        func contents(_ write: (inout CanonicalEncoder) -> Void) -> [UInt8] {
            var encoder = CanonicalEncoder()
            write(&encoder)
            return encoder.bytes
        }
        func bytes(_ list: some ClusterList) -> [UInt8] { contents { list.encode(into: &$0) } }
        let nonsense: [(ListKind, [UInt8])] = [
            (.access, []), (.access, contents { $0.append(UInt32.max) }), (.access, bytes(Self.access(["a"])) + [0]),
            (.addresses, bytes(Self.keys())), (.keys, bytes(Self.addresses())),
            (
                .keys,
                contents { encoder in
                    // The same entry twice.
                    encoder.append(UInt32(2))
                    for _ in 0..<2 {
                        encoder.append(UInt16(0))
                        encoder.append(UInt64(1))
                        encoder.append(counted: Array(Self.statementKeys[0].x963Representation))
                    }
                }
            ),
            (
                .addresses,
                contents { encoder in
                    encoder.append(UInt32(1))
                    encoder.append(UInt16(0))
                    encoder.append(counted: Array("two words".utf8))
                    encoder.append(UInt16(1))
                    encoder.append(Digest256.sha256([1]))
                }
            ),
        ]
        for (kind, contents) in nonsense {
            let message = OperatorSignature.message(kind, cluster: Self.cluster, version: 1, contents: contents)
            let signature = try OperatorSignature.make(message, Self.operatorKey)
            let error = #expect(throws: ListError.self) { try Self.open(message + signature) }
            guard case .unsound(kind, 1, _)? = error else {
                Issue.record("\(kind): \(String(describing: error))")
                continue
            }
        }
    }

    struct Step: Sendable {
        let name: String
        let offered: AnySignedList
        let taken: Result<Bool, ListError>
    }

    private static let steps = [
        Step(name: "the same", offered: .access(signed(access(["a", "b"]), 3)), taken: .success(false)),
        Step(name: "the next", offered: .access(signed(access(["a"]), 4)), taken: .success(true)),
        Step(name: "one far ahead", offered: .access(signed(access([]), 1 << 40)), taken: .success(true)),
        Step(
            name: "an older one", offered: .access(signed(access(["a", "b"]), 2)),
            taken: .failure(.rolledBack(.access, offered: 2, known: 3))),
        Step(
            name: "another of the version", offered: .access(signed(access(["a"]), 3)),
            taken: .failure(.forked(.access, version: 3))),
        Step(name: "one more key", offered: .keys(signed(keys(lives: 2), 4)), taken: .success(true)),
        Step(name: "other addresses", offered: .addresses(signed(addresses(8000), 4)), taken: .success(true)),
        Step(
            name: "without a server",
            offered: .addresses(signed(try! AddressList(Array(addresses().servers.dropLast())), 4)),
            taken: .failure(.unsound(.addresses, version: 4, .missing(NodeID(3))))),
        Step(
            name: "without a key", offered: .keys(signed(try! KeyList(Array(keys().keys.dropFirst())), 4)),
            taken: .failure(.unsound(.keys, version: 4, .keyRemoved(NodeID(0), Incarnation(1))))),
        Step(
            name: "with a key in another's place",
            offered: .keys(
                signed(
                    try! KeyList(
                        keys().keys.dropFirst()
                            + [KeyEntry(node: NodeID(0), incarnation: Incarnation(1), key: statementKeys[5])]), 4)),
            taken: .failure(.unsound(.keys, version: 4, .keyRemoved(NodeID(0), Incarnation(1))))),
        Step(
            name: "a client with a server's certificate",
            offered: .access(
                signed(
                    try! AccessList([
                        AccessEntry(name: "a", id: ClientID(high: 0, low: 1), pin: .sha256([2]), grants: [])
                    ]),
                    4)),
            taken: .failure(.unsound(.access, version: 4, .certificateOfServer(client: "a", NodeID(2))))),
    ]

    @Test("What may follow the lists known is taken; anything else changes nothing", arguments: steps.indices)
    func follows(index: Int) throws {
        let step = Self.steps[index]
        let before = Self.lists
        var lists = before
        let result = Result { () throws(ListError) in try lists.take(step.offered, for: Self.configuration) }
        #expect(result == step.taken, "\(step.name)")
        if case .success(true) = step.taken {
            #expect(lists.list(step.offered.kind) == step.offered)
        } else {
            // Another signature over the same makes no other list.
            #expect(lists.version(of: step.offered.kind) == before.version(of: step.offered.kind))
            #expect(lists.access.contents == before.access.contents && lists.keys.contents == before.keys.contents)
        }
    }
}
