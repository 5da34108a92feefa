// Which stripes others have said are not whole here (docs/protocol.md, Audit). Looking costs a read of the disk, so a
// stripe is looked at once an hour, and for each sender not more than so many in that time, whatever it says.

import QuorumProtocol

/// Remembers what was looked at.
struct Doubts {
    private static let intervalMilliseconds: UInt64 = 3_600_000
    static let perSenderMax = 1000
    /// Of all senders together; beyond that nothing more is looked at before the hour is over.
    static let countMax = 20_000

    private var beganMilliseconds: UInt64?
    private var known: Set<AuditDoubt> = []
    private var counts: [Principal: Int] = [:]

    /// Whether to look.
    mutating func take(_ doubt: AuditDoubt, from sender: Principal, nowMilliseconds now: UInt64) -> Bool {
        if beganMilliseconds.map({ now < $0 || now - $0 >= Self.intervalMilliseconds }) ?? true {
            self = Doubts()
            beganMilliseconds = now
        }
        guard known.count < Self.countMax, counts[sender, default: 0] < Self.perSenderMax else { return false }
        guard known.insert(doubt).inserted else { return false }
        counts[sender, default: 0] += 1
        return true
    }
}
