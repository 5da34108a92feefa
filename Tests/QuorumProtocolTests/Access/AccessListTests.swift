// Who may ask what: rights as people write them, and the judgement of every request by them.

import Crypto
import ErasureCode
import Fingerprint
import Testing

@testable import QuorumProtocol

@Suite struct AccessListTests {
    private static let quorums = try! QuorumConfiguration(faults: 1)
    /// Servers 0 to 3 are the group of every object, server 4 is in the other group, which has no slot but 0.
    private static let configuration = try! Configuration(
        cluster: ClusterID(high: 1, low: 2), epoch: 1, mode: .fingerprint, quorums: quorums,
        nodes: (0..<5).map { Node(id: NodeID($0)) },
        groups: [
            Group(id: GroupID(0), members: (0..<4).map { NodeID($0) }),
            Group(id: GroupID(1), members: (1..<5).map { NodeID($0) }),
        ], slots: (0..<Slot.count).map { GroupID($0 == 0 ? 1 : 0) })

    private static let key = try! ObjectKey("photos/cat")
    private static let client = ClientID(high: 3, low: 4)
    private static let stranger = ClientID(high: 3, low: 5)

    /// A request of each kind.
    enum Kind: CaseIterable {
        case read, readTimestamp, certificate, prepare, commit, describe, stage, discard, fetch, versions, staged
        case uploads, othersUploads, discardOfOthers

        var request: Request { request(key) }

        func request(_ key: ObjectKey) -> Request {
            let parameters = ClusterParameters(configuration)
            let value = EncodedValue(tombstone: key, modifiedMilliseconds: 1, parameters: parameters)
            let timestamp = Timestamp(counter: 1, writer: client, digest: value.descriptor.digest)
            switch self {
            case .read: return .read(Read(key: key, portion: .fragments))
            case .readTimestamp: return .readTimestamp(key)
            case .certificate: return .certificate(key, timestamp)
            case .prepare:
                return .prepare(
                    Prepare(
                        key: key, timestamp: timestamp, position: Position(0), descriptor: value.descriptor,
                        fragments: []))
            case .commit:
                let certificate = Certificate(epoch: 1, group: GroupID(0), timestamp: timestamp, statements: [])
                return .commit(Commit(key: key, certificate: certificate))
            case .describe:
                return .describe(Describe(key: key, timestamp: timestamp, descriptor: value.descriptor))
            case .stage:
                return .stage(
                    Stage(
                        key: key, attempt: Self.attempt, position: Position(0), stripeSizeBytes: 1 << 16, stripe: 0,
                        crossChecksum: CrossChecksum.encode(
                            block: SharedBytes([1]), code: parameters.quorums.code
                        ).crossChecksum, fragment: SharedBytes()))
            case .discard: return .discard(Discard(key: key, stager: Self.attempt.stager, upload: Self.attempt.upload))
            case .fetch: return .fetch(Fetch(key: key, attempt: Self.attempt))
            case .versions: return .listHeld(ListHeld(key: key, kind: .versions))
            case .staged: return .listHeld(ListHeld(key: key, kind: .upload(Self.attempt.upload)))
            case .uploads: return .listHeld(ListHeld(key: key, kind: .uploads(of: client)))
            case .othersUploads: return .listHeld(ListHeld(key: key, kind: .uploads(of: stranger)))
            case .discardOfOthers:
                return .discard(Discard(key: key, stager: stranger, upload: Self.attempt.upload))
            }
        }

        /// What it takes to write an object.
        static let writers = Set(allCases).subtracting([.othersUploads, .discardOfOthers])

        private static let attempt = AttemptName(
            stager: client, upload: UploadID(high: 1, low: 2), part: 1, number: 0)
    }

    private static func list(_ grants: [String]) throws -> AccessList {
        try AccessList([
            AccessEntry(
                name: "other", id: ClientID(high: 9, low: 9), pin: .sha256([9]), grants: [try grant("*:read,write")]),
            AccessEntry(name: "client", id: client, pin: .sha256([1]), grants: try grants.map(grant)),
        ])
    }

    private static func grant(_ text: String) throws -> Grant { try #require(Grant(text)) }

    struct Row: Sendable {
        let grants: [String]
        let allowed: Set<Kind>
    }

    @Test(
        "What a client may ask follows from its rights on the object's bucket, or on every one",
        arguments: [
            Row(grants: [], allowed: []),
            Row(grants: ["photos:read"], allowed: [.read, .certificate, .commit, .describe, .fetch, .versions]),
            Row(grants: ["*:read"], allowed: [.read, .certificate, .commit, .describe, .fetch, .versions]),
            Row(grants: ["photos:write"], allowed: Kind.writers),
            Row(grants: ["*:write"], allowed: Kind.writers),
            Row(grants: ["photos:write", "*:admin"], allowed: Set(Kind.allCases)),
            Row(grants: ["photos:list"], allowed: [.commit, .describe]),
            Row(grants: ["*:admin"], allowed: [.commit, .describe, .othersUploads, .discardOfOthers]),
            Row(grants: ["photo:read,write"], allowed: []),
            Row(grants: ["photos.:read", "photoss:write"].filter { Grant($0) != nil }, allowed: []),
            Row(
                grants: ["*:list", "photos:read"],
                allowed: [.read, .certificate, .commit, .describe, .fetch, .versions]),
            Row(
                grants: ["*:read", "photos:admin", "other:write"],
                allowed: [
                    .read, .certificate, .commit, .describe, .fetch, .versions, .othersUploads, .discardOfOthers,
                ]),
        ])
    func clients(row: Row) throws {
        let list = try Self.list(row.grants)
        let needs: [Kind: Rights] = [
            .read: [.read, .write], .certificate: [.read, .write], .readTimestamp: .write, .prepare: .write,
            .commit: .all, .describe: .all, .stage: .write, .discard: .write, .fetch: [.read, .write],
            .versions: [.read, .write], .staged: .write, .uploads: .write, .othersUploads: .admin,
            .discardOfOthers: .admin,
        ]
        for kind in Kind.allCases {
            let refusal = list.refusal(of: kind.request, from: .client(Self.client), in: Self.configuration)
            let expected: Refusal? =
                row.allowed.contains(kind)
                ? nil : .notEntitled(.client(Self.client), lacksAll: try #require(needs[kind]))
            #expect(refusal == expected, "\(row.grants), \(kind)")
        }
    }

    @Test(
        "A bucket's record is its administrators' to write, and to read for who has any right on the bucket",
        arguments: [
            Row(grants: [], allowed: []),
            Row(grants: ["photos:list"], allowed: [.read, .certificate, .commit, .describe, .fetch, .versions]),
            Row(grants: ["*:read,write,list"], allowed: [.read, .certificate, .commit, .describe, .fetch, .versions]),
            Row(grants: ["photos:admin"], allowed: Set(Kind.allCases)),
            Row(grants: ["*:admin"], allowed: Set(Kind.allCases)),
            Row(grants: ["buckets:admin", "other:admin"], allowed: []),
        ])
    func records(row: Row) throws {
        let list = try Self.list(row.grants)
        let record = try ObjectKey(recordOf: "photos")
        for kind in Kind.allCases {
            let refusal = list.refusal(
                of: kind.request(record), from: .client(Self.client), in: Self.configuration)
            let isReading = [.read, .certificate, .commit, .describe, .fetch, .versions].contains(kind)
            let needed: Rights = isReading ? .all : .admin
            let expected: Refusal? =
                row.allowed.contains(kind) ? nil : .notEntitled(.client(Self.client), lacksAll: needed)
            #expect(refusal == expected, "\(row.grants), \(kind)")
        }
    }

    @Test(
        "The list of buckets is for those who may list every one",
        arguments: [
            (["*:list,read"], nil), (["*:list"], [.read, .write]), (["photos:list,read,admin", "*:read"], .list),
        ] as [([String], Rights?)])
    func listOfBuckets(grants: [String], lacking: Rights?) throws {
        let query = try #require(ListingQuery(prefix: Array("_buckets/".utf8)))
        let refusal = try Self.list(grants).refusalOfListing(query, to: .client(Self.client))
        #expect(refusal == lacking.map { .notEntitled(.client(Self.client), lacksAll: $0) })
    }

    @Test(
        "Only a bucket has a record, and names that begin with an underscore are nobody else's",
        arguments: [
            ("_buckets/photos", true), ("_buckets/Photos", false), ("_buckets/a/b", false), ("_buckets/", false),
        ])
    func recordKeys(text: String, isOne: Bool) throws {
        let key = try? ObjectKey(bytes: Array(text.utf8))
        #expect(key?.recordedBucket.map(Array.init) == (isOne ? Array("photos".utf8) : nil))
        #expect(throws: ObjectKeyError.invalidBucket("_buckets")) { try ObjectKey(text) }
        #expect(throws: ObjectKeyError.invalidBucket("_other")) { try ObjectKey(bytes: Array("_other/a".utf8)) }
        #expect(try ObjectKey(recordOf: "photos").text == "_buckets/photos")
        #expect(throws: ObjectKeyError.invalidBucket("_buckets")) { try ObjectKey(recordOf: "_buckets") }
    }

    @Test(
        "What gateways share is for who administers every bucket",
        arguments: [
            ([], false), (["*:read,write,list"], false), (["gateway:admin"], false), (["*:admin"], true),
        ])
    func gateways(grants: [String], isAdministrator: Bool) throws {
        let list = try Self.list(grants)
        let record = try ObjectKey(ofGateways: "keys/A")
        #expect(record.text == "_gateway/keys/A" && record.reservation == .gateway)
        for kind in [Kind.read, .readTimestamp, .prepare, .fetch, .versions] {
            let refusal = list.refusal(of: kind.request(record), from: .client(Self.client), in: Self.configuration)
            #expect(
                refusal == (isAdministrator ? nil : .notEntitled(.client(Self.client), lacksAll: .admin)),
                "\(grants), \(kind)")
        }
        let query = try #require(ListingQuery(prefix: Array("_gateway/keys/".utf8)))
        #expect((list.refusalOfListing(query, to: .client(Self.client)) == nil) == isAdministrator, "\(grants)")
    }

    @Test(
        "What is noted of a bucket's uploads is its writers' to read, to write and to list",
        arguments: [
            ([], false), (["photos:read,list,admin"], false), (["photo:write"], false), (["*:write"], true),
            (["photos:write"], true),
        ])
    func uploads(grants: [String], isWriter: Bool) throws {
        let list = try Self.list(grants)
        let note = try ObjectKey(upload: UploadID(high: 1, low: 2), to: Array("photos".utf8)[...], note: ".00001")
        for kind in [Kind.read, .readTimestamp, .prepare, .fetch, .versions] {
            let refusal = list.refusal(of: kind.request(note), from: .client(Self.client), in: Self.configuration)
            #expect(
                refusal == (isWriter ? nil : .notEntitled(.client(Self.client), lacksAll: .write)),
                "\(grants), \(kind)")
        }
        for prefix in ["_uploads/photos/", "_uploads/photos/00"] {
            let query = try #require(ListingQuery(prefix: Array(prefix.utf8)))
            #expect((list.refusalOfListing(query, to: .client(Self.client)) == nil) == isWriter, "\(grants)")
        }
        // Those of all buckets are for who may list every one.
        for prefix in ["_uploads/", "_uploads/photos"] {
            let query = try #require(ListingQuery(prefix: Array(prefix.utf8)))
            #expect(list.refusalOfListing(query, to: .client(Self.client)) != nil, "\(grants)")
        }
    }

    @Test(
        "A note of an upload names a bucket and something in it",
        arguments: [
            ("_uploads/photos/0", true), ("_uploads/photos/", false), ("_uploads/photos", false),
            ("_uploads//a", false),
            ("_uploads/_buckets/a", false), ("_uploads/a b/c", false),
        ])
    func uploadKeys(text: String, isOne: Bool) throws {
        let key = try? ObjectKey(bytes: Array(text.utf8))
        #expect(key?.reservation == (isOne ? .upload(to: Array("photos".utf8)[...]) : nil))
        #expect(throws: ObjectKeyError.invalidBucket("_uploads")) { try ObjectKey(text) }
    }

    @Test("Who is not listed may ask nothing, whoever else may", arguments: Kind.allCases)
    func strangers(kind: Kind) throws {
        let refusal = try Self.list(["*:read,write,list,admin"])
            .refusal(of: kind.request, from: .client(Self.stranger), in: Self.configuration)
        guard case .notEntitled(.client(Self.stranger), let rights)? = refusal, !rights.isEmpty else {
            Issue.record("\(kind): \(String(describing: refusal))")
            return
        }
    }

    @Test("Servers of the object's group may read, ask for proof and show it; other servers may ask nothing")
    func servers() throws {
        let list = try Self.list([])
        try #require(Self.key.slot != Slot(0))
        for node in (0..<5).map({ NodeID($0) }) {
            for kind in Kind.allCases {
                let refusal = list.refusal(of: kind.request, from: .server(node), in: Self.configuration)
                let isAllowed = [.read, .certificate, .commit, .fetch].contains(kind) && node != NodeID(4)
                #expect(refusal == (isAllowed ? nil : .notEntitled(.server(node))), "\(node), \(kind)")
            }
        }
    }

    @Test("What servers do to rebuild each other is nobody's business but that of servers of the group")
    func rebuilding() throws {
        let timestamp = Timestamp(counter: 1, writer: Self.client, digest: .sha256([1]))
        let certificate = Certificate(epoch: 1, group: GroupID(0), timestamp: timestamp, statements: [])
        let restate = Request.restate(Restate(key: Self.key, certificate: certificate))
        let objects = SlotQuery.objects(Self.key.slot, after: nil)
        let digests = SlotQuery.digests(first: Slot(0), count: 8)
        for grants in [[], ["photos:read,write,list,admin"], ["*:read,write,list,admin"]] {
            let list = try Self.list(grants)
            for client in [Self.client, Self.stranger] {
                let principal = Principal.client(client)
                #expect(
                    list.refusal(of: restate, from: principal, in: Self.configuration) == .notEntitled(principal))
                for query in [objects, digests] {
                    #expect(
                        list.refusalOfSlots(query, to: principal, in: Self.configuration) == .notEntitled(principal))
                }
            }
            for node in (0..<5).map({ NodeID($0) }) {
                let expected: Refusal? = node == NodeID(4) ? .notEntitled(.server(node)) : nil
                #expect(list.refusal(of: restate, from: .server(node), in: Self.configuration) == expected)
                #expect(list.refusalOfSlots(objects, to: .server(node), in: Self.configuration) == expected)
            }
        }
    }

    @Test(
        "Audits are for servers of the group, and for who administers the bucket, or all of them",
        arguments: [
            (["*:admin"], true, true), (["photos:admin"], true, false), (["photos:read,write,list"], false, false),
            (["*:read,write,list"], false, false), (["other:admin"], false, false), ([], false, false),
        ] as [([String], Bool, Bool)])
    func audits(grants: [String], ofBucket: Bool, ofAll: Bool) throws {
        let list = try Self.list(grants)
        for (bucket, isAllowed) in [("photos", ofBucket), (nil, ofAll)] as [(String?, Bool)] {
            let query = AuditQuery(
                group: GroupID(0), from: AuditPlace(Slot(0)), bucket: bucket,
                point: [UInt8](repeating: 1, count: AuditQuery.pointSizeBytes), wantsNames: true)
            let refusal = list.refusalOfAudit(query, to: .client(Self.client), in: Self.configuration)
            #expect(refusal == (isAllowed ? nil : .notEntitled(.client(Self.client), lacksAll: .admin)))
            #expect(list.refusalOfAudit(query, to: .client(Self.stranger), in: Self.configuration) != nil)
            for node in (0..<5).map({ NodeID($0) }) {
                let expected: Refusal? = node == NodeID(4) ? .notEntitled(.server(node)) : nil
                #expect(list.refusalOfAudit(query, to: .server(node), in: Self.configuration) == expected)
            }
        }
        let unknown = AuditQuery(
            group: GroupID(9), from: AuditPlace(Slot(0)), point: AuditScene.point, wantsNames: true)
        #expect(list.refusalOfAudit(unknown, to: .server(NodeID(0)), in: Self.configuration) != nil)
    }

    @Test(
        "Listing takes the right to list, and to read or write what is in doubt",
        arguments: [
            (["photos:list"], [.read, .write] as Rights), (["photos:read,write,admin"], .list), ([], .list),
            (["photos:list", "other:read"], [.read, .write]), (["photos:list,read"], nil), (["*:list,write"], nil),
            (["*:read", "photos:list"], nil),
        ] as [([String], Rights?)])
    func listing(grants: [String], lacking: Rights?) throws {
        let query = try #require(ListingQuery(prefix: Array("photos/".utf8)))
        let refusal = try Self.list(grants).refusalOfListing(query, to: .client(Self.client))
        #expect(refusal == lacking.map { .notEntitled(.client(Self.client), lacksAll: $0) })
    }

    @Test(
        "Grants read back as they are written, and nothing else is one",
        arguments: [
            ("*:read", true), ("photos:read,write,list,admin", true), ("a.b-c:admin", true),
            ("photos:write,read", true),
            ("photos", false), ("photos:", false), (":read", false), ("photos:read,", false),
            ("photos:read,read", false),
            ("photos:Read", false), ("_photos:read", false), ("pho tos:read", false), ("**:read", false), ("", false),
        ])
    func grants(text: String, isOne: Bool) throws {
        let grant = Grant(text)
        #expect((grant != nil) == isOne)
        if let grant { #expect(Grant(grant.description) == grant) }
    }

    @Test("No two clients share a name, an id or a certificate")
    func unique() throws {
        func entry(_ name: String, _ id: UInt64, _ pin: UInt8) -> AccessEntry {
            AccessEntry(name: name, id: ClientID(high: 0, low: id), pin: .sha256([pin]), grants: [])
        }
        let first = entry("a", 1, 1)
        #expect(try AccessList([first, entry("b", 2, 2)]).clients.count == 2)
        for other in [entry("a", 2, 2), entry("b", 1, 2), entry("b", 2, 1), entry("../b", 2, 2), entry("", 2, 2)] {
            #expect(throws: ListFault.self) { try AccessList([first, other]) }
        }
    }
}
