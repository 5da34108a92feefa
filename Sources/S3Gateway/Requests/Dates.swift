// Points in time as HTTP, XML and signatures write them, without a calendar's generality.

import Glibc

/// Seconds since 1970, from a text or to one; all in UTC.
enum Dates {
    static func now() -> Int64 { Int64(time(nil)) }

    static func nowMilliseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1000 + UInt64(time.tv_nsec) / 1_000_000
    }

    /// `Fri, 24 May 2013 00:00:00 GMT`.
    static func http(_ seconds: Int64) -> String {
        let day = floorDivide(seconds, 86_400)
        let (year, month, date) = civil(day)
        let weekday = Int(((day + 4) % 7 + 7) % 7)
        return "\(weekdays[weekday]), \(two(date)) \(months[month - 1]) \(four(year)) \(clock(seconds)) GMT"
    }

    /// `2013-05-24T00:00:00.000Z`.
    static func iso(milliseconds: UInt64) -> String {
        // A writer may have sent any number; the year 9999 ends here.
        let milliseconds = Int64(min(milliseconds, 253_402_300_799_999))
        let seconds = milliseconds / 1000
        let (year, month, date) = civil(seconds / 86_400)
        let rest = String(milliseconds % 1000)
        let fraction = String(repeating: "0", count: 3 - rest.count) + rest
        return "\(four(year))-\(two(month))-\(two(date))T\(clock(seconds)).\(fraction)Z"
    }

    /// `20130524T000000Z`.
    static func basic(_ seconds: Int64) -> String {
        let (year, month, date) = civil(floorDivide(seconds, 86_400))
        let time = clock(seconds).split(separator: ":").joined()
        return "\(four(year))\(two(month))\(two(date))T\(time)Z"
    }

    /// Of `20130524T000000Z`; nil for anything else.
    static func parseBasic(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 16, bytes[8] == UInt8(ascii: "T"), bytes[15] == UInt8(ascii: "Z"),
            let year = number(bytes[0..<4]), let month = number(bytes[4..<6]), let date = number(bytes[6..<8]),
            let hour = number(bytes[9..<11]), let minute = number(bytes[11..<13]), let second = number(bytes[13..<15])
        else { return nil }
        return seconds(year, month, date, hour, minute, second)
    }

    /// Of `2013-05-24T00:00:00.000Z`, with a fraction or without; nil for anything else.
    static func parseISO(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            bytes[10] == UInt8(ascii: "T"), bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
            bytes.last == UInt8(ascii: "Z"),
            let year = number(bytes[0..<4]), let month = number(bytes[5..<7]), let date = number(bytes[8..<10]),
            let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]), let second = number(bytes[17..<19])
        else { return nil }
        let fraction = bytes[19..<(bytes.count - 1)]
        guard fraction.isEmpty || (fraction.first == UInt8(ascii: ".") && number(fraction.dropFirst()) != nil) else {
            return nil
        }
        return seconds(year, month, date, hour, minute, second)
    }

    /// Of HTTP's three forms (RFC 9110, 5.6.7), `Fri, 24 May 2013 00:00:00 GMT`, `Friday, 24-May-13 00:00:00 GMT` and
    /// `Fri May 24 00:00:00 2013`, of the first also with `UTC` or an offset as `+0800`; nil for anything else.
    static func parseHTTP(_ text: String) -> Int64? {
        var fields = text.split(separator: " ").map(String.init)
        if fields.count == 4, fields[0].hasSuffix(",") {
            let day = fields[1].split(separator: "-", omittingEmptySubsequences: false).map(String.init)
            guard day.count == 3, day[2].utf8.count == 2, let year = Int(day[2]) else { return nil }
            fields = [day[0], day[1], "\(nearest(year))", fields[2], fields[3]]
        } else if fields.count == 5, months.contains(fields[1]), fields[3].contains(":") {
            fields = [fields[2], fields[1], fields[4], fields[3], "GMT"]
        } else if fields.first?.hasSuffix(",") ?? false {
            fields.removeFirst()
        }
        guard fields.count == 5, let date = Int(fields[0]), let year = Int(fields[2]),
            let month = months.firstIndex(of: fields[1])
        else { return nil }
        let time = fields[3].split(separator: ":", omittingEmptySubsequences: false)
        guard time.count == 3, let hour = Int(time[0]), let minute = Int(time[1]), let second = Int(time[2]),
            let local = seconds(year, month + 1, date, hour, minute, second)
        else { return nil }
        let zone = Array(fields[4].utf8)
        if fields[4] == "GMT" || fields[4] == "UTC" || fields[4] == "Z" { return local }
        guard zone.count == 5, zone[0] == UInt8(ascii: "+") || zone[0] == UInt8(ascii: "-"),
            let hours = number(zone[1..<3]), let minutes = number(zone[3..<5])
        else { return nil }
        let offset = Int64(hours * 3600 + minutes * 60)
        return zone[0] == UInt8(ascii: "+") ? local - offset : local + offset
    }

    /// The year that ends so and is no more than 50 years ahead (RFC 9110, 5.6.7).
    private static func nearest(_ year: Int) -> Int {
        let latest = civil(floorDivide(now(), 86_400)).year + 50
        return latest - ((latest - year) % 100 + 100) % 100
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]

    private static func clock(_ seconds: Int64) -> String {
        let second = Int(seconds - floorDivide(seconds, 86_400) * 86_400)
        return "\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))"
    }

    private static func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

    private static func four(_ number: Int) -> String {
        let digits = "\(number)"
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count < 18,
            digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) })
        else { return nil }
        return digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) }
    }

    private static func seconds(
        _ year: Int, _ month: Int, _ date: Int, _ hour: Int, _ minute: Int, _ second: Int
    ) -> Int64? {
        guard (1...9999).contains(year), (1...12).contains(month), (1...31).contains(date), (0..<24).contains(hour),
            (0..<60).contains(minute), (0...60).contains(second)
        else { return nil }
        return days(year, month, date) * 86_400 + Int64(hour * 3600 + minute * 60 + second)
    }

    /// Days since 1970 (H. Hinnant, chrono-Compatible Low-Level Date Algorithms).
    private static func days(_ year: Int, _ month: Int, _ date: Int) -> Int64 {
        let year = Int64(month <= 2 ? year - 1 : year)
        let era = floorDivide(year, 400)
        let yearOfEra = year - era * 400
        let dayOfYear = Int64((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + date - 1)
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func civil(_ days: Int64) -> (year: Int, month: Int, date: Int) {
        let shifted = days + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = Int(shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9)
        return (
            Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0), month, Int(dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
        )
    }

    private static func floorDivide(_ number: Int64, _ divisor: Int64) -> Int64 {
        number >= 0 ? number / divisor : -((-number + divisor - 1) / divisor)
    }
}
