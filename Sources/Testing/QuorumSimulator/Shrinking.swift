// From a failing plan to a small one: leave out parts for as long as the same kind of violation remains.

/// What is left of a failing plan, and how it fails.
package struct ShrunkFailure: Sendable {
    /// The parts that are not needed for the failure.
    package let removed: Set<PlanPart>
    package let plan: WorldPlan
    package let report: WorldReport
    package let runCount: Int
}

/// Minimises a plan after Zeller & Hildebrandt's delta debugging (*Simplifying and Isolating Failure-Inducing Input*,
/// IEEE TSE 2002): tries to do without ever smaller groups of parts.
///
/// - Parameters:
///   - violation: what the plan's run was found guilty of.
///   - runCountMax: how many runs it may take.
///   - run: runs a plan; for tests that judge otherwise.
package func shrink(
    _ plan: WorldPlan, violation: Violation, runCountMax: Int = 600,
    run: (WorldPlan) -> WorldReport = { World($0).run() }
) -> ShrunkFailure {
    var removed: Set<PlanPart> = []
    var smallest = plan
    var report = run(plan)
    var runCount = 1

    func stillFails(without parts: some Sequence<PlanPart>) -> Bool {
        guard runCount < runCountMax else { return false }
        runCount += 1
        let candidate = smallest.without(Set(parts))
        let outcome = run(candidate)
        guard outcome.violation?.kind == violation.kind else { return false }
        smallest = candidate
        removed.formUnion(parts)
        report = outcome
        return true
    }

    var groupSize = max(1, plan.parts.count / 2)
    while true {
        var hasShrunk = false
        var start = 0
        var parts = smallest.parts
        while start < parts.count {
            let group = parts[start..<min(start + groupSize, parts.count)]
            if stillFails(without: group) {
                hasShrunk = true
                parts = smallest.parts
            } else {
                start += groupSize
            }
        }
        if groupSize == 1, !hasShrunk || runCount >= runCountMax { break }
        groupSize = hasShrunk && groupSize == 1 ? 1 : max(1, groupSize / 2)
    }
    return ShrunkFailure(removed: removed, plan: smallest, report: report, runCount: runCount)
}
