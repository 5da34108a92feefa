// Histories made up by chance, from a seed.

import HistoryChecker

/// Steele, Lea & Flood's SplitMix64.
struct SplitMix64: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// What random operations look like.
struct HistoryShape {
    var operationCount = 60
    var processCount = 4
    var keyCount = 1
    /// nil: each written value is new.
    var valueCount: Int?
    var deletePercent = 10
    var infoPercent = 5
    var durationMax = 100
    var gapMax = 30
}

/// A real register: every operation takes effect at a moment within its interval, in the order of those moments.
func historyOfRealRegister(_ shape: HistoryShape, seed: UInt64) -> [HistoryOperation] {
    struct Planned {
        let process: String
        let function: HistoryEvent.Function
        let key: String
        let value: String?
        let invoked: Int64
        let effect: Int64
        let returned: Int64?
        let takesEffect: Bool
    }
    var generator = SplitMix64(seed: seed)
    var clocks = Array(repeating: Int64(0), count: shape.processCount)
    var names = (0..<shape.processCount).map { "\($0)" }
    var planned: [Planned] = []
    for number in 0..<shape.operationCount {
        let process = generator.below(shape.processCount)
        let invoked = clocks[process] + Int64(generator.below(shape.gapMax + 1))
        let effect = invoked + Int64(generator.below(shape.durationMax + 1))
        let returned = effect + Int64(generator.below(shape.durationMax + 1))
        let isInfo = generator.chance(shape.infoPercent)
        let function: HistoryEvent.Function =
            generator.chance(50) ? .read : generator.chance(shape.deletePercent) ? .delete : .write
        let value = shape.valueCount.map { "v\(generator.below($0))" } ?? "v\(number)"
        planned.append(
            Planned(
                process: names[process], function: function, key: "k\(generator.below(shape.keyCount))",
                value: function == .write ? value : nil, invoked: invoked,
                // What nobody knows the end of may take effect long after.
                effect: isInfo ? effect + Int64(generator.below(10 * shape.durationMax + 1)) : effect,
                returned: isInfo ? nil : returned, takesEffect: !isInfo || generator.chance(60)))
        clocks[process] = returned + 1
        if isInfo { names[process] += "'" }
    }
    var values: [String: String] = [:]
    var seen: [String?] = Array(repeating: nil, count: planned.count)
    let byEffect = planned.indices.sorted { (planned[$0].effect, $0) < (planned[$1].effect, $1) }
    for position in byEffect where planned[position].takesEffect {
        switch planned[position].function {
        case .read, .list: seen[position] = values[planned[position].key]
        case .write, .delete: values[planned[position].key] = planned[position].value
        }
    }
    return planned.indices.map { position in
        let operation = planned[position]
        return HistoryOperation(
            process: operation.process, function: operation.function, key: operation.key,
            value: operation.function == .read ? seen[position] : operation.value,
            invokedNanoseconds: operation.invoked,
            outcome: operation.returned.map { .ok(atNanoseconds: $0) } ?? .unknown)
    }
}

/// Operations with times and values drawn without any register behind them.
func arbitraryHistory(operationCount: Int, valueCount: Int, timeMax: Int, seed: UInt64) -> [HistoryOperation] {
    var generator = SplitMix64(seed: seed)
    return (0..<operationCount).map { number in
        let invoked = Int64(generator.below(timeMax))
        let returned = invoked + Int64(generator.below(timeMax / 2 + 1))
        let function: HistoryEvent.Function =
            generator.chance(50) ? .read : generator.chance(15) ? .delete : .write
        let value: String? =
            function == .delete || (function == .read && generator.chance(15)) ? nil : "v\(generator.below(valueCount))"
        let outcome: HistoryOperation.Outcome =
            generator.chance(12)
            ? .unknown : generator.chance(5) ? .failed(atNanoseconds: returned) : .ok(atNanoseconds: returned)
        return HistoryOperation(
            process: "\(number)", function: function, key: "k", value: value, invokedNanoseconds: invoked,
            outcome: outcome)
    }
}
