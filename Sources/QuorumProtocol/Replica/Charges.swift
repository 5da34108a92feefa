// What each client is charged for an object (docs/protocol.md, Accounts): a function of the object's record and of
// nothing else, so that what all clients are charged is the sum over all records, whatever crashed in between.

/// What a client is charged at a server; or by how much that changes.
package struct Charge: Equatable, Sendable {
    /// Bytes of versions that are committed, or were, with a flat sum for each object whose highest committed version
    /// is the client's.
    package var storedBytes: Int64 = 0
    /// Objects whose highest committed version is the client's; deleted ones, too.
    package var objects: Int64 = 0
    /// Bytes of versions that are not committed here.
    package var uncommittedBytes: Int64 = 0
    /// Such versions at objects of which no version is committed here.
    package var bareVersions: Int64 = 0

    package init() {}

    package static func + (left: Charge, right: Charge) -> Charge {
        var sum = left
        sum.storedBytes &+= right.storedBytes
        sum.objects &+= right.objects
        sum.uncommittedBytes &+= right.uncommittedBytes
        sum.bareVersions &+= right.bareVersions
        return sum
    }

    package static prefix func - (charge: Charge) -> Charge {
        var negative = Charge()
        negative.storedBytes = 0 &- charge.storedBytes
        negative.objects = 0 &- charge.objects
        negative.uncommittedBytes = 0 &- charge.uncommittedBytes
        negative.bareVersions = 0 &- charge.bareVersions
        return negative
    }

    /// What an object takes in the index: its record, its certificate and its entries in the lists.
    static let indexBytesPerObject: Int64 = 2048

    /// The numbers in the order in which the store's row has them.
    package var numbers: [Int64] { [storedBytes, objects, uncommittedBytes, bareVersions] }

    /// Of a row of the store; later releases may add numbers, this one goes by the first.
    package init(numbers: [Int64]) {
        func number(_ place: Int) -> Int64 { numbers.indices.contains(place) ? numbers[place] : 0 }
        storedBytes = number(0)
        objects = number(1)
        uncommittedBytes = number(2)
        bareVersions = number(3)
    }
}

/// What one client is charged.
package struct ClientCharge: Equatable, Sendable {
    package let client: ClientID
    package let charge: Charge

    package init(client: ClientID, charge: Charge) {
        self.client = client
        self.charge = charge
    }
}

/// What several clients are charged. They are few.
struct ChargeList {
    private(set) var charges: [ClientCharge] = []

    mutating func add(_ charge: Charge, to client: ClientID) {
        if let place = charges.firstIndex(where: { $0.client == client }) {
            charges[place] = ClientCharge(client: client, charge: charges[place].charge + charge)
        } else {
            charges.append(ClientCharge(client: client, charge: charge))
        }
    }

    /// Without those that are nothing.
    var changes: [ClientCharge] { charges.filter { $0.charge != Charge() } }
}

extension ObjectRecord {
    /// What is charged for the object.
    package var charges: [ClientCharge] {
        var list = ChargeList()
        add(to: &list) { $0 }
        return list.changes
    }

    /// By how much what is charged changes when the record becomes another one.
    func charges(becoming other: ObjectRecord) -> [ClientCharge] {
        var list = ChargeList()
        other.add(to: &list) { $0 }
        add(to: &list) { -$0 }
        return list.changes
    }

    private func add(to list: inout ChargeList, _ sign: (Charge) -> Charge) {
        let committed = highestCommitted
        if let committed {
            var charge = Charge()
            charge.objects = 1
            charge.storedBytes = Charge.indexBytesPerObject
            list.add(sign(charge), to: committed.writer)
        }
        for version in held {
            var charge = Charge()
            let size = Int64(clamping: version.sizeBytes)
            if isPending(version.timestamp) {
                charge.uncommittedBytes = size
                charge.bareVersions = committed == nil ? 1 : 0
            } else {
                charge.storedBytes = size
            }
            list.add(sign(charge), to: version.timestamp.writer)
        }
        for attempt in staged {
            var charge = Charge()
            charge.uncommittedBytes = Int64(clamping: attempt.unheldBytes)
            list.add(sign(charge), to: attempt.name.stager)
        }
        guard committed == nil else { return }
        for stager in stagers {
            var charge = Charge()
            charge.bareVersions = 1
            list.add(sign(charge), to: stager)
        }
    }

    private func clients(with kind: UnfinishedKind) -> [ClientID] {
        switch kind {
        case .versions: bareWriters
        case .uploads: uploaders
        }
    }

    /// Whose versions are here although none is committed.
    private var bareWriters: [ClientID] {
        guard highestCommitted == nil else { return [] }
        var writers: [ClientID] = []
        for version in held where !writers.contains(version.timestamp.writer) {
            writers.append(version.timestamp.writer)
        }
        for stager in stagers where !writers.contains(stager) { writers.append(stager) }
        return writers
    }

    /// Who begins, and who ceases, to have something unfinished here when the record becomes another one.
    func listingChanges(becoming other: ObjectRecord) -> [ObjectChange.ListingChange] {
        UnfinishedKind.allCases.flatMap { kind in
            let (before, after) = (clients(with: kind), other.clients(with: kind))
            return after.filter { !before.contains($0) }
                .map { ObjectChange.ListingChange(client: $0, kind: kind, isListed: true) }
                + before.filter { !after.contains($0) }
                .map { ObjectChange.ListingChange(client: $0, kind: kind, isListed: false) }
        }
    }

    /// Whether the version is above the committed one and not known to be committed.
    func isPending(_ timestamp: Timestamp) -> Bool {
        committedTimestamp.precedes(timestamp) && !isUnverified(timestamp) && !isPoisonous(timestamp)
    }
}
