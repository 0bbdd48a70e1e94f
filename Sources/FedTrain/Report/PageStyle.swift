/// The style sheet of the report: light and dark, screen and paper, no fonts or images from elsewhere.
enum PageStyle {
    /// Colours of the plots, also used by a plot that stands alone. The five tones stay apart for
    /// readers with the common forms of colour blindness and on grey paper.
    private static let lightColours = """
        --paper:#ffffff;--card:#ffffff;--ink:#1b2430;--soft:#5a6675;--rule:#dfe4ea;--wash:#f5f7f9;\
        --accent:#0b5cad;--t1:#0b5cad;--t2:#e08a1e;--t3:#4fa3a0;--t4:#9b6fc3;--t5:#b7bec8;--tl:#c0392b;\
        --good:#1d7a4c;--warn:#9a5b00;--bad:#b3261e
        """
    private static let darkColours = """
        --paper:#12161c;--card:#191f27;--ink:#e6eaf0;--soft:#9ba7b6;--rule:#2c3540;--wash:#1f2730;\
        --accent:#79b8ff;--t1:#6cb0ff;--t2:#f0aa4f;--t3:#63c2bd;--t4:#bd9be0;--t5:#5b6674;--tl:#ff7b6e;\
        --good:#5fcf97;--warn:#f0b75a;--bad:#ff8a80
        """

    private static let plotRules = """
        .plot text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;\
        font-size:13px;fill:var(--soft)}
        .plot .key{fill:var(--ink)}
        .plot .name{font-weight:600}
        .plot .grid{stroke:var(--rule);stroke-width:1;fill:none}
        .plot .axis{stroke:var(--soft);stroke-width:1;fill:none}
        .plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
        .plot .dashed{stroke-dasharray:6 4;stroke-linecap:butt}
        .plot .fill{stroke:none}
        .plot .line.dots{stroke-width:6}.plot .line.fine{stroke-width:3}
        .plot .line.t1{stroke:var(--t1)}.plot .fill.t1{fill:var(--t1)}
        .plot .line.t2{stroke:var(--t2)}.plot .fill.t2{fill:var(--t2)}
        .plot .line.t3{stroke:var(--t3)}.plot .fill.t3{fill:var(--t3)}
        .plot .line.t4{stroke:var(--t4)}.plot .fill.t4{fill:var(--t4)}
        .plot .line.t5{stroke:var(--t5)}.plot .fill.t5{fill:var(--t5)}
        .plot .line.tl{stroke:var(--tl)}.plot .fill.tl{fill:var(--tl)}
        """

    /// The sheet for a plot saved as a file of its own.
    static var standalonePlot: String {
        "svg{\(lightColours)}\n@media (prefers-color-scheme:dark){svg{\(darkColours)}}\n\(plotRules)"
    }

    static var report: String {
        """
        :root{color-scheme:light dark;\(lightColours)}
        @media screen and (prefers-color-scheme:dark){:root{\(darkColours)}}
        \(pageRules)
        \(plotRules)
        \(paperRules)
        """
    }

    private static let pageRules = """
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);\
        font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        main{max-width:1060px;margin:0 auto;padding:24px 16px 64px}
        header p{color:var(--soft);margin:.2em 0}
        h1{font-size:1.7rem;line-height:1.2;margin:.2em 0}
        h2{font-size:1.2rem;margin:2.4em 0 .6em;padding-bottom:.25em;border-bottom:1px solid var(--rule)}
        h3{font-size:1rem;margin:0 0 .5em}
        p,ul{max-width:75ch}
        a{color:var(--accent)}
        .guarantee{background:var(--wash);border-left:4px solid var(--accent);border-radius:4px;\
        padding:14px 18px;margin:20px 0}
        .guarantee p{margin:.4em 0;font-size:1.06rem;max-width:none}
        .tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:12px;margin:18px 0}
        .tile{border:1px solid var(--rule);border-radius:8px;padding:10px 14px;background:var(--card)}
        .tile b{display:block;font-size:1.5rem;font-variant-numeric:tabular-nums;line-height:1.25}
        .tile span{color:var(--soft);font-size:.85rem}
        .notice{border:1px solid var(--warn);border-radius:6px;padding:10px 14px;margin:14px 0;max-width:none}
        .notice b{color:var(--warn)}
        .figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:20px;\
        align-items:start}
        figure{margin:0;border:1px solid var(--rule);border-radius:8px;padding:14px;background:var(--card);\
        min-width:0}
        figure svg{display:block;width:100%;height:auto}
        figcaption{color:var(--soft);font-size:.88rem;margin:.3em 0 .8em}
        .scroll{overflow-x:auto;max-width:100%}
        .note{color:var(--soft);font-size:.82rem;margin:.6em 0 0}
        figure .scroll{max-height:300px;overflow:auto}
        table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}
        th,td{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--rule);vertical-align:top}
        thead th{color:var(--soft);font-weight:600;background:var(--card);position:sticky;top:0}
        td.n,th.n{text-align:right;padding-right:16px;white-space:nowrap}
        th.n{white-space:normal}
        td.n:first-child,th.n:first-child{text-align:left}
        .scroll+h3{margin-top:1.4em}
        th[scope=row]{font-weight:600;width:30%}
        code{font:.88em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
        pre{background:var(--wash);padding:10px 14px;border-radius:6px;overflow-x:auto}
        .mark{display:inline-block;border-radius:999px;padding:0 9px;font-size:.8rem;border:1px solid;\
        white-space:nowrap}
        .enforced{color:var(--good)}.trusted{color:var(--warn)}.audited{color:var(--accent)}
        .absent{color:var(--soft);border:0;padding:0;white-space:normal;font-style:italic}
        .failed{color:var(--bad)}
        """

    private static let paperRules = """
        @media print{body{font-size:9.5pt;line-height:1.4}main{max-width:none;padding:0}\
        .tile,.guarantee,.notice,tr,figure svg,figcaption{break-inside:avoid}\
        h2,h3,figure svg{break-after:avoid}h2{margin-top:1.6em}\
        .figures{display:block}figure{margin:0 0 14px;break-inside:auto}figure svg{max-width:12.5cm;margin:0 auto}\
        figure .scroll{max-height:none;overflow:visible}.scroll{overflow:visible}\
        table{font-size:8pt}th,td{padding:2px 8px 2px 0}thead th{position:static}\
        .tiles{grid-template-columns:repeat(7,1fr);gap:6px}.tile{padding:6px 8px}.tile b{font-size:1.15rem}}
        """
}
