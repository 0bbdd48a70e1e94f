/// The dashboard's one page: complete without scripts, kept up to date with them.
enum DashboardPage {
    static func html(_ status: ServiceStatus) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <noscript><meta http-equiv="refresh" content="5"></noscript>
        <title>\(escaped(status.federation)) · fedtrain</title><style>\(style)</style></head><body>
        <header><h1>\(escaped(status.federation))</h1><p>run \(escaped(status.run))\
        \(status.isEncrypted ? "" : " · <strong class=bad>NOT ENCRYPTED</strong>")</p></header>
        <main>
        <section class=figures>
        <div><b id=rounds>\(status.roundsReleased) of \(status.roundsStarted)</b><span>rounds released, of \
        \(status.roundsPlanned) planned</span></div>
        <div><b id=epsilon>\(status.epsilon.map(number) ?? "?")</b><span>ε spent of \(number(status.epsilonMax)) \
        at δ = \(status.delta), for one \(escaped(status.unit))</span></div>
        <div><b id=present>\(status.presentCount)</b><span>clients present, at \
        least \(status.minCohort) for a round and \(status.minSurvivors) in every sum</span></div>
        </section>
        <section><h2>Now</h2><ol class=lane id=lane>\(lane(status))</ol><p id=wait>\(wait(status))</p></section>
        <section><h2>Rounds</h2><div class=scroll><table><thead><tr><th>round<th>outcome<th>in the sum<th>lost\
        <th>seconds<th>ε after</tr></thead><tbody id=recent>\(rows(status))</tbody></table></div></section>
        <section><h2>Clients</h2><ul class=members id=members>\(members(status))</ul></section>
        </main><footer>Counts, stages and times. The server knows no client's records, losses or updates.</footer>
        <script>\(script)</script></body></html>
        """
    }

    static let stages = ["advertise", "share", "mask", "confirm", "unmask"]

    private static func lane(_ status: ServiceStatus) -> String {
        let current = stages.firstIndex { $0 == status.stage && status.openRound != nil }
        return stages.enumerated().map { index, name in
            let state = current.map { index < $0 ? "done" : index == $0 ? "open" : "" } ?? ""
            return "<li class=\"\(state)\">\(name)</li>"
        }.joined()
    }

    private static func wait(_ status: ServiceStatus) -> String {
        if status.isFinished { return "the run is over" }
        guard let wait = status.wait else { return "working" }
        return escaped(
            "waiting for \(wait.what): \(wait.have) of \(wait.need), at most \(wait.secondsLeft) s")
    }

    private static func rows(_ status: ServiceStatus) -> String {
        status.recent.reversed().map { line in
            let lost = stages.compactMap { stage in
                line.lost[stage].flatMap { $0 > 0 ? "\($0) at \(stage)" : nil }
            }
            return "<tr><td>\(line.round)<td class=\(line.outcome)>\(escaped(line.outcome))"
                + "<td>\(line.survivors) of \(line.invited)<td>\(escaped(lost.joined(separator: ", ")))"
                + "<td>\(number(line.seconds))<td>\(number(line.epsilon))</tr>"
        }.joined()
    }

    private static func members(_ status: ServiceStatus) -> String {
        status.members.map {
            "<li class=\"\($0.silentSeconds < 45 ? "here" : "away")\">\(escaped($0.name))</li>"
        }.joined()
    }

    private static func number(_ value: Double) -> String {
        let thousandths = Int((value * 1000).rounded())
        let rest = String(thousandths % 1000)
        return "\(thousandths / 1000).\(String(repeating: "0", count: 3 - rest.count))\(rest)"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
            .replacing("\"", with: "&quot;")
    }

    private static let style = """
        :root{color-scheme:light dark;--line:#8884;--good:#2a7d4f;--bad:#b3261e;--now:#2f6fb3}
        *{box-sizing:border-box}body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem}
        header{display:flex;gap:1rem;align-items:baseline;flex-wrap:wrap}h1{margin:0;font-size:1.5rem}
        header p{margin:0}h2{font-size:1rem;margin:1.5rem 0 .5rem}
        .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:1rem;margin-top:1rem}
        .figures div{border:1px solid var(--line);border-radius:.5rem;padding:.75rem}
        .figures b{display:block;font-size:1.6rem;font-variant-numeric:tabular-nums}.figures span{font-size:.85rem}
        .lane{display:grid;grid-template-columns:repeat(5,1fr);gap:.25rem;list-style:none;margin:0;padding:0}
        .lane li{border-top:.4rem solid var(--line);font-size:.85rem;padding-top:.25rem;overflow-wrap:anywhere}
        .lane .done{border-color:var(--good)}.lane .open{border-color:var(--now);font-weight:600}
        .scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid var(--line);white-space:nowrap}
        .released{color:var(--good)}.aborted,.bad{color:var(--bad)}
        .members{display:flex;flex-wrap:wrap;gap:.4rem;list-style:none;margin:0;padding:0}
        .members li{border:1px solid var(--line);border-radius:1rem;padding:.1rem .7rem;font-size:.85rem}
        @media(max-width:30rem){.lane li{font-size:.72rem}table{font-size:.72rem}th,td{padding-right:.3rem}}
        .away{opacity:.5;text-decoration:line-through}footer{margin-top:2rem;font-size:.85rem;opacity:.8}
        """

    private static let script = """
        const id=n=>document.getElementById(n),num=v=>v==null?"?":v.toFixed(3);
        const cell=(row,text,name)=>{const c=row.insertCell();c.textContent=text;if(name)c.className=name};
        const stages=["advertise","share","mask","confirm","unmask"];
        let over=false;function show(s){over=s.isFinished;
        id("rounds").textContent=s.roundsReleased+" of "+s.roundsStarted;id("epsilon").textContent=num(s.epsilon);
        id("present").textContent=s.members.filter(m=>m.silentSeconds<45).length;
        const now=s.openRound==null?-1:stages.indexOf(s.stage);
        [...id("lane").children].forEach((e,i)=>e.className=now<0?"":i<now?"done":i==now?"open":"");
        id("wait").textContent=s.isFinished?"the run is over":s.wait?"waiting for "+s.wait.what+": "+s.wait.have+" of "
        +s.wait.need+", at most "+s.wait.secondsLeft+" s":"working";
        const body=id("recent");body.replaceChildren();
        for(const l of [...s.recent].reverse()){const r=body.insertRow();cell(r,l.round);cell(r,l.outcome,l.outcome);
        cell(r,l.survivors+" of "+l.invited);cell(r,stages.filter(t=>l.lost[t]).map(t=>l.lost[t]+" at "+t).join(", "));
        cell(r,num(l.seconds));cell(r,num(l.epsilon))}
        id("members").replaceChildren(...s.members.map(m=>{const e=document.createElement("li");
        e.textContent=m.name;e.className=m.silentSeconds<45?"here":"away";return e}))}
        const source=new EventSource("/events");source.onmessage=e=>show(JSON.parse(e.data));
        source.onerror=()=>{id("wait").textContent=over?"the run is over":"the server does not answer"};
        """
}
