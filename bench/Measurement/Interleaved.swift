// Timing several pieces of work against each other on a machine whose speed drifts.
//
// One round runs every piece once, so that a slow moment slows all of them; medians over rounds are compared, and
// ratios are taken inside each round before their median is.

import BenchmarkResults

/// A piece of work to be timed.
struct Candidate {
    /// What the table calls it.
    let name: String
    /// Bytes that one call treats, for rates; 0 where a rate has no meaning.
    let bytes: Int
    let work: () -> Void

    init(_ name: String, bytes: Int, work: @escaping () -> Void) {
        self.name = name
        self.bytes = bytes
        self.work = work
    }
}

/// The seconds per call of one candidate, one sample a round.
struct Timing {
    let name: String
    let bytes: Int
    let samples: [Double]

    /// Median seconds per call.
    var seconds: Double { median(samples) }
    /// Bytes per second, in units of 10^9.
    var gigabytesPerSecond: Double { Double(bytes) / seconds / 1e9 }

    /// How many times as fast as the other one this treats a byte: the median over rounds.
    func speed(relativeTo other: Timing) -> Double {
        let perByte = Double(bytes) / Double(other.bytes)
        return median(zip(samples, other.samples).map { own, others in others / own * perByte })
    }
}

/// Times the candidates in interleaved rounds; each sample repeats the call for about `sampleSeconds`.
func measureInterleaved(_ candidates: [Candidate], rounds: Int, sampleSeconds: Double) -> [Timing] {
    // The first calls touch all memory and show how many of them fill a sample.
    let callCounts = candidates.map { candidate in
        candidate.work()
        let once = max(seconds { candidate.work() }, 1e-9)
        let several = max(1, min(16, Int(sampleSeconds / once)))
        let average = max(seconds { for _ in 0..<several { candidate.work() } } / Double(several), 1e-9)
        return max(1, Int(sampleSeconds / average))
    }
    var samples = [[Double]](repeating: [], count: candidates.count)
    for _ in 0..<rounds {
        for (position, candidate) in candidates.enumerated() {
            let calls = callCounts[position]
            samples[position].append(seconds { for _ in 0..<calls { candidate.work() } } / Double(calls))
        }
    }
    return zip(candidates, samples).map { Timing(name: $0.name, bytes: $0.bytes, samples: $1) }
}

private func seconds(_ work: () -> Void) -> Double {
    let duration = ContinuousClock().measure(work)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}
