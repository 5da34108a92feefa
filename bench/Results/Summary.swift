// Rounds become medians, and modes ratios to the mode `none`, taken inside each round before their median is.

import QuorumProtocol

/// The samples of all settings, by round.
package struct SampleBook: Sendable {
    private var rounds: [Setting: [Sample?]] = [:]
    /// Settings in the order in which they first came.
    package private(set) var settings: [Setting] = []
    /// What a server's store by itself takes of PREPAREs of `ModeTarget.journalWorkload`, if that was measured.
    package var journalAppendsPerSecond: Double?

    package init() {}

    /// Notes the sample of a setting in a round; there is one for each.
    package mutating func note(_ sample: Sample, of setting: Setting, round: Int) {
        var samples = rounds[setting] ?? []
        if rounds[setting] == nil { settings.append(setting) }
        while samples.count <= round { samples.append(nil) }
        precondition(samples[round] == nil, "a setting is measured once in a round")
        samples[round] = sample
        rounds[setting] = samples
    }

    /// How many samples a setting has.
    package func count(of setting: Setting) -> Int { (rounds[setting] ?? []).count { $0 != nil } }

    /// A figure's median over the rounds; nil when the setting was not measured.
    package func median(_ figure: Figure, of setting: Setting) -> Double? {
        let values = (rounds[setting] ?? []).compactMap { $0 }.map {
            figure.value(of: $0, size: setting.workload.size)
        }
        return values.isEmpty ? nil : BenchmarkResults.median(values)
    }

    /// The median over rounds of a figure's ratio to the same figure in the mode `none` with the same optimisations;
    /// nil when no round has both, or the other one's figure is 0.
    package func ratio(_ figure: Figure, of setting: Setting) -> Double? {
        var other = setting
        other.mode = .none
        return ratio(figure, of: setting, to: other)
    }

    /// The same as a ratio to the mode as it is, with every optimisation; nil also when the setting leaves none out.
    package func ratioToEverything(_ figure: Figure, of setting: Setting) -> Double? {
        guard !setting.without.isEmpty else { return nil }
        var other = setting
        other.without = []
        return ratio(figure, of: setting, to: other)
    }

    private func ratio(_ figure: Figure, of setting: Setting, to other: Setting) -> Double? {
        let size = setting.workload.size
        let ratios = zip(rounds[setting] ?? [], rounds[other] ?? []).compactMap { own, others -> Double? in
            guard let own, let others else { return nil }
            let divisor = figure.value(of: others, size: size)
            return divisor > 0 ? figure.value(of: own, size: size) / divisor : nil
        }
        return ratios.isEmpty ? nil : BenchmarkResults.median(ratios)
    }
}
