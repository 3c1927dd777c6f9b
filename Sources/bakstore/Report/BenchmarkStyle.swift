// BenchmarkStyle: how a benchmark's page looks, on desktops and phones, light and dark.

enum BenchmarkStyle {
    /// The style sheet.
    static let sheet = """
        :root {
          color-scheme: light dark;
          --page: #f6f7f9; --paper: #ffffff; --ink: #1b2330; --quiet: #5c6675; --line: #e2e6ec;
          --stored: #2563c9; --double: #d9822b; --gained: #3f9c6b; --other: #9aa6b6; --warning: #b3261e;
          --pictures: #2563c9; --videos: #7a4fc9; --sound: #c2781a; --archives: #6b7a8f; --others: #2f9188;
        }
        @media (prefers-color-scheme: dark) {
          :root {
            --page: #12161c; --paper: #1b212a; --ink: #e6eaf0; --quiet: #9aa5b4; --line: #2d3642;
            --stored: #6ea0f2; --double: #e8a25a; --gained: #69c293; --other: #5f6c7d; --warning: #ff8a80;
            --pictures: #6ea0f2; --videos: #ab8af0; --sound: #e0a04c; --archives: #8d9bb0; --others: #5bbdb3;
          }
        }
        * { box-sizing: border-box; }
        body {
          margin: 0; background: var(--page); color: var(--ink);
          font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
        }
        main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
        header { margin-bottom: 1.5rem; }
        h1 { font-size: 2.1rem; line-height: 1.2; margin: .3rem 0; letter-spacing: -.01em; }
        h2 { font-size: 1.2rem; margin: 0 0 .8rem; }
        p { margin: .4rem 0 .8rem; }
        code { font: .86em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
        .where { margin: 0; color: var(--quiet); }
        .quiet { color: var(--quiet); font-size: .9rem; }
        .warning { color: var(--warning); font-weight: 600; }
        section {
          background: var(--paper); border: 1px solid var(--line); border-radius: .75rem;
          padding: 1.25rem; margin-bottom: 1rem;
        }
        .cards {
          display: grid; grid-template-columns: repeat(3, 1fr); gap: 1rem;
          background: none; border: 0; padding: 0;
        }
        .card { background: var(--paper); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem 1.25rem; }
        .card h2 { font-size: .9rem; font-weight: 500; color: var(--quiet); margin: 0; }
        .card p { margin: 0; }
        .card .value { font-size: 1.7rem; font-weight: 650; line-height: 1.35; }
        svg { display: block; }
        .stack { width: 100%; height: 1.5rem; border-radius: .4rem; background: var(--line); }
        .bar { width: 100%; height: .4rem; margin-top: .2rem; border-radius: 2px; background: var(--line); }
        .donut { width: 11rem; flex: none; transform: rotate(-90deg); }
        .ring { display: flex; align-items: center; gap: 2rem; margin-bottom: 1.25rem; }
        .legend { list-style: none; margin: .8rem 0 0; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; }
        .ring .legend { flex-direction: column; margin: 0; }
        i { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem; margin-right: .5rem; }
        i.stored { background: var(--stored); } rect.stored { fill: var(--stored); }
        i.double { background: var(--double); } rect.double { fill: var(--double); }
        i.gained { background: var(--gained); } rect.gained { fill: var(--gained); }
        rect.other { fill: var(--other); }
        i.pictures { background: var(--pictures); } rect.pictures { fill: var(--pictures); }
        i.videos { background: var(--videos); } rect.videos { fill: var(--videos); }
        i.sound { background: var(--sound); } rect.sound { fill: var(--sound); }
        i.archives { background: var(--archives); } rect.archives { fill: var(--archives); }
        i.others { background: var(--others); } rect.others { fill: var(--others); }
        circle.pictures { stroke: var(--pictures); } circle.videos { stroke: var(--videos); }
        circle.sound { stroke: var(--sound); } circle.archives { stroke: var(--archives); }
        circle.others { stroke: var(--others); }
        table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th { font-weight: 500; font-size: .85rem; color: var(--quiet); }
        th, td { text-align: right; padding: .45rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
        td { white-space: nowrap; }
        td .bar { min-width: 5rem; }
        th:first-child, td:first-child { text-align: left; padding-left: 0; }
        th:last-child, td:last-child { padding-right: 0; }
        tbody tr:last-child td { border-bottom: 0; }
        summary { cursor: pointer; color: var(--stored); margin: .6rem 0; }
        .groups { margin: 0; padding-left: 1.4rem; }
        .groups p { margin: .5rem 0 0; }
        .groups ul { margin: 0 0 .5rem; padding: 0; list-style: none; }
        @media (max-width: 40rem) {
          main { padding: 1.25rem .75rem 3rem; }
          h1 { font-size: 1.6rem; }
          section { padding: 1rem; }
          .cards { grid-template-columns: 1fr; gap: .6rem; }
          .card { padding: .75rem 1rem; }
          .ring { flex-direction: column; align-items: flex-start; gap: 1rem; }
          thead { display: none; }
          tr {
            display: grid; grid-template-columns: 1fr 1fr; column-gap: 1.5rem;
            padding: .6rem 0; border-bottom: 1px solid var(--line);
          }
          tbody tr:last-child { border-bottom: 0; }
          td, td:last-child {
            order: 2; display: flex; justify-content: space-between; gap: .5rem;
            padding: .05rem 0; border: 0; font-size: .85rem;
          }
          td { white-space: normal; }
          td::before { content: attr(data-name); color: var(--quiet); }
          td:empty { display: none; }
          td:first-child { order: 0; display: block; grid-column: 1 / -1; font-size: 1rem; font-weight: 600; }
          td.main {
            order: 1; display: block; grid-column: 1 / -1; margin: -1.5rem 0 .2rem;
            text-align: right; font-size: 1rem; font-weight: 600;
          }
          td:first-child::before, td.main::before { content: none; }
        }
        @media print { body { background: none; } section, .card { break-inside: avoid; } }
        """
}
