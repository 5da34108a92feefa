// The environment variable that forces a level. Levels are chosen once per process, so each case runs in its own.

import CFragmentCore
import Foundation
import Testing

/// Ends this process successfully if, with SOLIDUS_CPU_LEVEL set so, the active level is the expected one, or the
/// strongest one where none is named.
private func exitReporting(whetherVariable value: String, selects expected: String?) -> Never {
    setenv("SOLIDUS_CPU_LEVEL", value, 1)
    let strongest = String(cString: sfc_level_name(sfc_level_count() - 1))
    let active = String(cString: sfc_level_name(sfc_active_level()))
    exit(active == expected ?? strongest ? EXIT_SUCCESS : EXIT_FAILURE)
}

@Suite("The environment variable SOLIDUS_CPU_LEVEL")
struct LevelSelectionTests {
    #if arch(x86_64)
        @Test("chooses among the levels that the processor's features allow, all of them")
        func everyLevelIsFound() throws {
            // What the kernel says of the processor, which the core's detection does not ask.
            let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
            let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("flags") })
            let flags = Set(line.split(separator: " ").map(String.init))
            var expected = ["portable"]
            let needed: [(level: String, flags: Set<String>)] = [
                ("sse42", ["ssse3", "sse4_2", "popcnt", "pclmulqdq"]),
                ("avx2", ["avx", "avx2"]),
                ("vpclmul", ["vpclmulqdq", "bmi1", "bmi2"]),
                ("avx512", ["avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512vbmi", "gfni"]),
            ]
            for (level, wanted) in needed {
                guard flags.isSuperset(of: wanted) else { break }
                expected.append(level)
            }
            #expect((0..<sfc_level_count()).map { String(cString: sfc_level_name($0)) } == expected)
        }
    #endif

    @Test("forces the level it names")
    func namedLevel() async {
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "portable", selects: "portable")
        }
    }

    @Test("leaves the strongest level in place when it names none or one the machine lacks")
    func unknownLevel() async {
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "no such level", selects: nil)
        }
        await #expect(processExitsWith: .success) {
            exitReporting(whetherVariable: "", selects: nil)
        }
    }
}
