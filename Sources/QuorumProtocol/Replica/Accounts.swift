// The accounts of a server's clients, shared by its replicas: what each is charged, and whether a PREPARE finds room
// (docs/protocol.md, Accounts).
//
// A change is charged when it is given to the disk, not when it is durable: otherwise a hundred PREPAREs that wait for
// the disk would each find the same room. A change that fails is taken back.

/// What clients are charged at one server, and what they may be.
package struct Accounts: Sendable {
    /// The disk of the server's store, in bytes; as it was looked at last.
    package struct Space: Equatable, Sendable {
        package let capacityBytes: UInt64
        package let freeBytes: UInt64

        package init(capacityBytes: UInt64, freeBytes: UInt64) {
            self.capacityBytes = capacityBytes
            self.freeBytes = freeBytes
        }

        func share(percent: UInt8) -> UInt64 {
            capacityBytes / 100 * UInt64(percent) + capacityBytes % 100 * UInt64(percent) / 100
        }
    }

    /// A client's quota of what it has not committed, in hundredths of the disk, when none is set. A gateway needs more,
    /// since it is many users.
    private static let uncommittedPercent: UInt8 = 10

    private var charges: [ClientID: Charge] = [:]
    private var uncommittedBytes: Int64 = 0
    private var quotas: [ClientID: ClientQuotas] = [:]
    /// Nil while nobody has looked: then nothing is known to be scarce.
    private var space: Space?

    /// - Parameter charges: what the store says that clients were charged when it was closed.
    package init(_ charges: [ClientCharge] = []) { apply(charges) }

    package mutating func go(by quotas: [ClientID: ClientQuotas]) { self.quotas = quotas }

    package mutating func look(at space: Space) { self.space = space }

    package func charge(of client: ClientID) -> Charge { charges[client] ?? Charge() }

    /// What all clients are charged that are charged anything.
    package var all: [ClientCharge] {
        charges.map { ClientCharge(client: $0.key, charge: $0.value) }.sorted { $0.client < $1.client }
    }

    package mutating func apply(_ changes: [ClientCharge]) {
        for change in changes {
            let charge = charge(of: change.client) + change.charge
            charges[change.client] = charge == Charge() ? nil : charge
            uncommittedBytes &+= change.charge.uncommittedBytes
        }
    }

    mutating func takeBack(_ changes: [ClientCharge]) {
        apply(changes.map { ClientCharge(client: $0.client, charge: -$0.charge) })
    }

    private func quotas(of client: ClientID) -> ClientQuotas { quotas[client] ?? ClientQuotas() }

    /// Why there is no room for one more version of a client's, or nil.
    ///
    /// - Parameters:
    ///   - sizeBytes: of its descriptor and fragments.
    ///   - isBare: whether no version of the object is committed here.
    ///   - frees: whether it is a tombstone that supersedes bytes which are held here. It always finds room: a client
    ///     over its quota can delete.
    func refusal(
        of client: ClientID, sizeBytes: UInt64, isBare: Bool, frees: Bool, _ limits: ProtocolLimits
    ) -> Refusal? {
        let charge = charge(of: client)
        let quotas = quotas(of: client)
        let bareVersionsMax = quotas.bareVersions(limits)
        if isBare, charge.bareVersions >= Int64(bareVersionsMax) {
            return .quotaExceeded(
                .bareVersions, limit: UInt64(bareVersionsMax), used: UInt64(clamping: charge.bareVersions))
        }
        guard !frees else { return nil }
        // Nine tenths of the disk, so that one who is alone can use it and one who is not leaves something.
        let quota = quotas.storedBytes ?? space.map { $0.capacityBytes / 10 * 9 } ?? .max
        let used = UInt64(clamping: charge.storedBytes) &+ UInt64(clamping: charge.uncommittedBytes)
        guard used &+ sizeBytes <= quota else { return .quotaExceeded(.storedBytes, limit: quota, used: used) }
        guard let space, space.freeBytes < space.capacityBytes / 2 else { return nil }
        let share = space.share(percent: quotas.uncommittedPercent ?? Self.uncommittedPercent)
        let own = UInt64(clamping: charge.uncommittedBytes)
        guard own &+ sizeBytes <= share else { return .quotaExceeded(.uncommittedBytes, limit: share, used: own) }
        let half = space.capacityBytes / 2
        let all = UInt64(clamping: uncommittedBytes)
        guard all &+ sizeBytes <= half else { return .quotaExceeded(.uncommittedBytesOfAll, limit: half, used: all) }
        return nil
    }

    /// Whether a client nears its limit of versions at objects without a commit: time to find out what was committed.
    func isNearBareLimit(_ client: ClientID, _ limits: ProtocolLimits) -> Bool {
        2 * charge(of: client).bareVersions >= Int64(quotas(of: client).bareVersions(limits))
    }
}
