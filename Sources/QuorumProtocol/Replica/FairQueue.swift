// Who is next, at an object and at what else many want (docs/protocol.md, Fair shares). Principals take turns, so that
// nobody waits for all that another has sent; within a principal's, and within the server's own, the first one comes
// first. Mostly there is one element, which needs no memory of its own.

import DequeModule

/// What waits, served in turns.
package struct FairQueue<Element: Sendable>: Sendable {
    /// Who waits; nil for the server itself.
    package typealias Owner = Principal?

    private struct Lane: Sendable {
        let owner: Owner
        var elements: Deque<Element>
    }

    /// The only element that waits, when there is one.
    private var first: Element?
    private var firstOwner: Owner
    /// All elements when there are several, in the order of the turns to come. None is empty.
    private var lanes: [Lane] = []
    /// Whose was served last: another who waits comes before him.
    private var lastOwner: Owner
    /// Kept beside them: looking whether an optional element is there copies it.
    private(set) var count = 0

    package init() {
        firstOwner = nil
        lastOwner = nil
    }

    var isEmpty: Bool { count == 0 }

    /// Whether the only element is `first`. The last one of several stays in its lane.
    private var isOnlyFirst: Bool { count == 1 && lanes.isEmpty }

    /// How many of one owner's wait.
    func count(of owner: Owner) -> Int {
        if isOnlyFirst { return firstOwner == owner ? 1 : 0 }
        return lanes.first { $0.owner == owner }?.elements.count ?? 0
    }

    /// The principal of whom most wait, and how many; nil when none waits.
    var longest: (principal: Principal, count: Int)? {
        if isOnlyFirst { return firstOwner.map { ($0, 1) } }
        var found: (principal: Principal, count: Int)?
        for lane in lanes {
            guard let owner = lane.owner, lane.elements.count > found?.count ?? 0 else { continue }
            found = (owner, lane.elements.count)
        }
        return found
    }

    package mutating func append(_ element: consuming Element, of owner: Owner) {
        count += 1
        guard count > 1 else {
            first = element
            firstOwner = owner
            return
        }
        spread()
        if let lane = lanes.firstIndex(where: { $0.owner == owner }) {
            lanes[lane].elements.append(element)
        } else {
            lanes.append(Lane(owner: owner, elements: [element]))
        }
    }

    /// Puts something of the server's own before everything else.
    mutating func prependOwn(_ element: consuming Element) {
        count += 1
        guard count > 1 else {
            first = element
            firstOwner = nil
            return
        }
        spread()
        var own = Lane(owner: nil, elements: [element])
        if let old = lanes.firstIndex(where: { $0.owner == nil }) { own.elements += lanes.remove(at: old).elements }
        lanes.insert(own, at: 0)
        // Its turn is the next one, whosever the last was.
        lastOwner = lanes.last?.owner
    }

    /// The only element goes where those go that are several.
    private mutating func spread() {
        if let only = first.take() { lanes.append(Lane(owner: firstOwner, elements: [only])) }
    }

    package mutating func popFirst() -> Element? {
        guard count > 0 else { return nil }
        count -= 1
        if let only = first.take() {
            lastOwner = firstOwner
            return only
        }
        let isRepeated = lanes.count > 1 && lanes[0].owner == lastOwner
        return popFirst(ofLane: isRepeated ? 1 : 0)
    }

    /// The first one of those whose owners may be served now, and its owner; nil when there is none.
    package mutating func popFirst(where mayBeServed: (Owner) -> Bool) -> (owner: Owner, element: Element)? {
        if isOnlyFirst {
            guard mayBeServed(firstOwner) else { return nil }
            return popFirst().map { (lastOwner, $0) }
        }
        let served = lanes.indices.filter { mayBeServed(lanes[$0].owner) }
        guard let next = served.first(where: { lanes[$0].owner != lastOwner }) ?? served.first else { return nil }
        count -= 1
        return popFirst(ofLane: next).map { (lastOwner, $0) }
    }

    /// The one whose turn it is, if it is one of these.
    mutating func popFirst(if isMeant: (Element) -> Bool) -> Element? {
        guard count > 0 else { return nil }
        if isOnlyFirst {
            guard let only = first, isMeant(only) else { return nil }
        } else {
            let isRepeated = lanes.count > 1 && lanes[0].owner == lastOwner
            guard let next = lanes[isRepeated ? 1 : 0].elements.first, isMeant(next) else { return nil }
        }
        return popFirst()
    }

    private mutating func popFirst(ofLane index: Int) -> Element? {
        var lane = lanes.remove(at: index)
        let popped = lane.elements.popFirst()
        lastOwner = lane.owner
        if !lane.elements.isEmpty { lanes.append(lane) }
        return popped
    }

    /// Takes out the newest of a principal of whom more than one wait; nil when there is none.
    mutating func popNewest(of principal: Principal) -> Element? {
        guard let lane = lanes.firstIndex(where: { $0.owner == principal }), lanes[lane].elements.count > 1
        else { return nil }
        count -= 1
        return lanes[lane].elements.popLast()
    }
}
