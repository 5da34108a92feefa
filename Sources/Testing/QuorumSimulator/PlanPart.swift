// The removable parts of a plan: what shrinking tries to do without.

/// A part of a world's plan, numbered as the seed drew it.
package enum PlanPart: Hashable, Sendable {
    case loss
    case duplication
    case delays
    /// Messages that come once more, far later.
    case echoes
    /// Machines' work that is completed later instead of at once.
    case deferredWork
    /// The servers' real stores; without them disks are simulated as a whole.
    case stores
    case partition(Int)
    case serverCrash(Int)
    case powerFailure(Int)
    case slowServer(Int)
    /// A server that loses everything and is rebuilt.
    case wipe(Int)
    case badServer(Int)
    case byzantineClient(Int)
    /// A client's crash in the middle of the operation of this number.
    case clientCrash(Int)
    case operation(Int)
    /// The time that clients take between operations.
    case pauses
}

extension PlanPart: CustomStringConvertible {
    private static let plain: [(name: String, part: PlanPart)] = [
        ("loss", .loss), ("duplication", .duplication), ("delays", .delays), ("echoes", .echoes),
        ("deferred-work", .deferredWork), ("stores", .stores), ("pauses", .pauses),
    ]

    private static let numbered: [(name: String, make: @Sendable (Int) -> PlanPart)] = [
        ("partition", PlanPart.partition), ("server-crash", PlanPart.serverCrash),
        ("power-failure", PlanPart.powerFailure), ("slow-server", PlanPart.slowServer),
        ("bad-server", PlanPart.badServer), ("wipe", PlanPart.wipe),
        ("byzantine-client", PlanPart.byzantineClient), ("client-crash", PlanPart.clientCrash),
        ("operation", PlanPart.operation),
    ]

    private var nameAndNumber: (name: String, number: Int?) {
        switch self {
        case .loss: ("loss", nil)
        case .duplication: ("duplication", nil)
        case .delays: ("delays", nil)
        case .echoes: ("echoes", nil)
        case .deferredWork: ("deferred-work", nil)
        case .stores: ("stores", nil)
        case .pauses: ("pauses", nil)
        case .partition(let number): ("partition", number)
        case .serverCrash(let number): ("server-crash", number)
        case .powerFailure(let number): ("power-failure", number)
        case .slowServer(let number): ("slow-server", number)
        case .wipe(let number): ("wipe", number)
        case .badServer(let number): ("bad-server", number)
        case .byzantineClient(let number): ("byzantine-client", number)
        case .clientCrash(let number): ("client-crash", number)
        case .operation(let number): ("operation", number)
        }
    }

    package var description: String {
        let (name, number) = nameAndNumber
        return number.map { "\(name):\($0)" } ?? name
    }

    /// What numbers in texts are below.
    static let numberLimit = 1 << 20

    /// The parts that a text means: a part's description, with a range of numbers (`operation:3-9`) for several.
    ///
    /// - Throws: `UnknownPart` for anything else.
    package static func parse(_ text: String) throws(UnknownPart) -> [PlanPart] {
        if let part = plain.first(where: { $0.name == text })?.part { return [part] }
        let fields = text.split(separator: ":", omittingEmptySubsequences: false)
        guard fields.count == 2, let make = numbered.first(where: { $0.name == fields[0] })?.make else {
            throw UnknownPart(text: text)
        }
        let numbers = fields[1].split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
        guard let first = numbers[0], let last = numbers[numbers.count - 1], (1...2).contains(numbers.count),
            0 <= first, first <= last, last < numberLimit
        else { throw UnknownPart(text: text) }
        return (first...last).map(make)
    }

    /// The shortest list of texts that means these parts, with runs of numbers drawn together.
    package static func texts(of parts: Set<PlanPart>) -> [String] {
        var texts = plain.filter { parts.contains($0.part) }.map(\.name)
        for (name, _) in numbered {
            let numbers = parts.map(\.nameAndNumber).filter { $0.name == name }.compactMap(\.number).sorted()
            var start = 0
            for position in numbers.indices {
                let isLast = position + 1 == numbers.count || numbers[position + 1] != numbers[position] + 1
                guard isLast else { continue }
                let isSingle = start == position
                texts.append("\(name):\(numbers[start])" + (isSingle ? "" : "-\(numbers[position])"))
                start = position + 1
            }
        }
        return texts
    }
}

/// A text that names no part of a plan.
package struct UnknownPart: Error, Equatable {
    package let text: String

    package init(text: String) { self.text = text }
}
