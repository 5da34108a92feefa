// What background work may take of a server.

/// Something of which there is so much a second. At most a second's worth is saved up; what is owed is owed, but for
/// what would take an hour to pay.
struct Credit: Sendable {
    let perSecond: Int
    private(set) var balance: Int

    init(perSecond: Int) {
        self.perSecond = perSecond
        balance = perSecond
    }

    mutating func earn(milliseconds: Int) {
        balance = min(perSecond, balance + perSecond / 1000 * milliseconds + perSecond % 1000 * milliseconds / 1000)
    }

    mutating func spend(_ amount: Int) {
        // Both are far from the ends of Int: rates are at most 2^40, and single charges sizes or times.
        balance = max(-3600 * perSecond, balance - min(amount, 1 << 60))
    }
}
