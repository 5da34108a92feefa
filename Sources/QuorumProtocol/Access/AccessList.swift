// Who may use a cluster, and for what: the list of clients and their rights, and the judgement of a request by it.
//
// The list is no part of an epoch: every server judges by the newest list that it knows, whatever epoch a request
// names. Otherwise a revoked client would name an old epoch.

import Fingerprint

/// A client as the access list has it.
public struct AccessEntry: Hashable, Sendable {
    /// The name for people, and of the client's directory.
    public let name: String
    /// The name that stands in timestamps.
    public let id: ClientID
    /// SHA-256 of the certificate by which the client is known.
    public let pin: Digest256
    /// In the order of the buckets' names, each bucket once.
    public let grants: [Grant]
    public let quotas: ClientQuotas

    /// - Parameter grants: those of one bucket are taken together.
    package init(name: String, id: ClientID, pin: Digest256, grants: [Grant], quotas: ClientQuotas = ClientQuotas()) {
        self.name = name
        self.id = id
        self.pin = pin
        self.quotas = quotas
        let byBucket = Dictionary(grants.map { ($0.bucket, $0.rights) }) { $0.union($1) }
        self.grants = byBucket.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            .compactMap { Grant(bucket: $0.key, rights: $0.value) }
    }

    /// What the client may do with the objects of a bucket.
    func rights(onBucket bucket: ArraySlice<UInt8>) -> Rights {
        var rights: Rights = []
        for grant in grants where grant.bucket == Grant.everyBucket || grant.bucket.utf8.elementsEqual(bucket) {
            rights.formUnion(grant.rights)
        }
        return rights
    }
}

/// The clients of a cluster and their rights.
public struct AccessList: Hashable, Sendable {
    /// In the order in which they were added.
    public let clients: [AccessEntry]
    private let places: [ClientID: Int]

    /// - Throws: when a name is none, or two clients share a name, an id or a certificate.
    package init(_ clients: [AccessEntry]) throws(ListFault) {
        var places: [ClientID: Int] = [:]
        var names: Set<String> = []
        var pins: Set<Digest256> = []
        for (place, client) in clients.enumerated() {
            guard ClientName.isValid(client.name) else { throw .invalidName(client.name) }
            guard names.insert(client.name).inserted else { throw .repeated(client.name) }
            guard places.updateValue(place, forKey: client.id) == nil else { throw .repeated(client.id.description) }
            guard pins.insert(client.pin).inserted else { throw .repeated(client.pin.description) }
        }
        self.clients = clients
        self.places = places
    }

    /// The quotas of those clients of whom the list says any.
    package var quotas: [ClientID: ClientQuotas] {
        var quotas: [ClientID: ClientQuotas] = [:]
        for client in clients where !client.quotas.isEmpty { quotas[client.id] = client.quotas }
        return quotas
    }

    /// The client of this name; nil when there is none.
    public func client(named name: String) -> AccessEntry? { clients.first { $0.name == name } }

    /// What a client may do with an object's bucket, or with the one whose record the object is; nothing when it is not
    /// listed.
    package func rights(of client: ClientID, on key: ObjectKey) -> Rights {
        guard let place = places[client] else { return [] }
        return clients[place].rights(onBucket: key.reservation?.bucket ?? key.bucketBytes)
    }

    /// Why the sender may not be told what a client has left unfinished; nil when he may: everybody his own, and who
    /// administers every bucket everybody's.
    package func refusalOfPending(of client: ClientID, to principal: Principal) -> Refusal? {
        if case .client(client) = principal, places[client] != nil { return nil }
        return refusalOfWants(to: principal)
    }

    /// Why the sender may not be told what a server lacks, of whatever bucket; nil for who administers every one.
    package func refusalOfWants(to principal: Principal) -> Refusal? {
        guard case .client(let asking) = principal, let place = places[asking] else { return .notEntitled(principal) }
        let isAdministrator = clients[place].grants.contains {
            $0.bucket == Grant.everyBucket && $0.rights.contains(.admin)
        }
        return isAdministrator ? nil : .notEntitled(principal, lacksAll: .admin)
    }

    /// Why the sender may not be told what is in a bucket; nil when he may. It takes the right to read or to write, too:
    /// what servers do not tell alike is read, and whoever could not would be kept from listing by any one of them. What
    /// a bucket's uploads are is for its writers.
    package func refusalOfListing(_ query: ListingQuery, to principal: Principal) -> Refusal? {
        guard case .client(let client) = principal, let place = places[client] else { return .notEntitled(principal) }
        if let bucket = query.bucketOfUploads {
            return clients[place].rights(onBucket: bucket).contains(.write)
                ? nil : .notEntitled(principal, lacksAll: .write)
        }
        let rights = clients[place].rights(onBucket: Array(query.bucket.utf8)[...])
        if query.bucket == ObjectKey.bucketOfGateways {
            return rights.contains(.admin) ? nil : .notEntitled(principal, lacksAll: .admin)
        }
        guard rights.contains(.list) else { return .notEntitled(principal, lacksAll: .list) }
        return rights.isDisjoint(with: [.read, .write]) ? .notEntitled(principal, lacksAll: [.read, .write]) : nil
    }

    /// Why a question for what a server has committed is none of the sender's business; nil when it may ask it. Only
    /// servers may, for slots that are theirs; of those that are not they are told nothing.
    package func refusalOfSlots(_ query: SlotQuery, to principal: Principal, in configuration: Configuration)
        -> Refusal?
    {
        guard case .server(let node) = principal else { return .notEntitled(principal) }
        guard case .objects(let slot, _) = query else { return nil }
        return configuration.group(of: slot).contains(node) ? nil : .notEntitled(principal)
    }

    /// Why fingerprints are none of the sender's business; nil when it may ask for them: servers those of their groups,
    /// clients those of buckets that they administer. What is asked often enough says what the fragment is.
    package func refusalOfAudit(_ query: AuditQuery, to principal: Principal, in configuration: Configuration)
        -> Refusal?
    {
        switch principal {
        case .server(let node):
            return configuration.group(query.group)?.contains(node) ?? false ? nil : .notEntitled(principal)
        case .client(let client):
            guard let place = places[client] else { return .notEntitled(principal) }
            let administers = clients[place].grants.contains { grant in
                grant.rights.contains(.admin) && (grant.bucket == Grant.everyBucket || grant.bucket == query.bucket)
            }
            return administers ? nil : .notEntitled(principal, lacksAll: .admin)
        }
    }

    /// Why a request is none of the sender's business; nil when it may ask it.
    ///
    /// Servers that hold the object may read it, to verify and repair what they store; they write nothing.
    package func refusal(
        of request: Request, from principal: Principal, in configuration: Configuration
    ) -> Refusal? {
        switch principal {
        case .client(let client):
            guard let sufficient = request.sufficientRights(of: client) else { return .notEntitled(principal) }
            guard rights(of: client, on: request.key).isDisjoint(with: sufficient) else { return nil }
            return .notEntitled(principal, lacksAll: sufficient)
        case .server(let node):
            switch request {
            case .read, .certificate, .commit, .fetch, .restate:
                return configuration.group(of: request.key.slot).contains(node) ? nil : .notEntitled(principal)
            case .readTimestamp, .prepare, .describe, .stage, .discard, .listHeld:
                return .notEntitled(principal)
            }
        }
    }
}

extension Request {
    /// The rights of which a client needs one. Writers in doubt read. Readers write back, and a certificate or a digest
    /// speaks for itself, so COMMIT and DESCRIPTOR take any. A bucket's record is its administrators' to write, and
    /// everybody's to read who has anything to do with the bucket; what is noted of a bucket's uploads is its writers',
    /// and what gateways share is for who administers every bucket.
    /// Others' uploads are administrators' to see and to discard. Nil: no right is enough.
    func sufficientRights(of client: ClientID) -> Rights? {
        switch self {
        case .discard(let discard) where discard.stager != client: return .admin
        case .listHeld(let list):
            if case .uploads(let stager) = list.kind, stager != client { return .admin }
        case .readTimestamp, .read, .certificate, .prepare, .commit, .describe, .stage, .discard, .fetch: break
        case .restate: return nil
        }
        let (writers, readers): (Rights, Rights) =
            switch key.reservation {
            case .record: (.admin, .all)
            case .upload: (.write, .write)
            case .gateway: (.admin, .admin)
            case nil: (.write, [.read, .write])
            }
        return switch self {
        case .readTimestamp, .prepare, .stage, .discard: writers
        case .listHeld(let list) where list.kind != .versions: writers
        case .read, .certificate, .fetch, .listHeld: readers
        case .commit, .describe: .all
        case .restate: nil
        }
    }
}

extension AccessList: ClusterList {
    package static let kind = ListKind.access

    package func encode(into encoder: inout CanonicalEncoder) {
        encoder.append(UInt32(clients.count))
        for client in clients {
            encoder.append(counted: Array(client.name.utf8))
            encoder.append(client.id)
            encoder.append(client.pin)
            encoder.append(UInt32(client.grants.count))
            for grant in client.grants {
                encoder.append(counted: Array(grant.bucket.utf8))
                encoder.append(grant.rights.rawValue)
            }
            client.quotas.encode(into: &encoder)
        }
    }

    package init(from decoder: inout CanonicalDecoder) throws(ListFault) {
        do {
            var clients: [AccessEntry] = []
            for _ in 0..<(try decoder.count("clients", as: UInt32.self, limit: decoder.remaining)) {
                let name = try decoder.text("client's name", limit: ClientName.sizeBytesMax)
                let id: ClientID = try decoder.name("client's id")
                let pin = try decoder.digest("certificate pin")
                var grants: [Grant] = []
                for _ in 0..<(try decoder.count("grants", as: UInt32.self, limit: decoder.remaining)) {
                    let bucket = try decoder.text("bucket", limit: ObjectKey.bucketSizeBytesMax)
                    let rights = Rights(rawValue: try decoder.integer("rights"))
                    guard let grant = Grant(bucket: bucket, rights: rights) else {
                        throw MalformedEncoding.notCanonical(field: "grant")
                    }
                    grants.append(grant)
                }
                let quotas = try ClientQuotas(from: &decoder)
                let entry = AccessEntry(name: name, id: id, pin: pin, grants: grants, quotas: quotas)
                guard entry.grants == grants else { throw MalformedEncoding.notCanonical(field: "grants") }
                clients.append(entry)
            }
            try self.init(clients)
        } catch let fault as ListFault {
            throw fault
        } catch {
            throw .malformed((error as? MalformedEncoding) ?? .notCanonical(field: "access list"))
        }
    }
}
