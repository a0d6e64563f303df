/** The dashboard in the browser: the overview, or one page's view. */
import { repaintCharts } from './chart.ts'
import { startFind } from './find.ts'
import { watch } from './live.ts'
import { startOverview } from './overview.ts'
import { startPageView } from './page-view.ts'
import { startTheme } from './theme.ts'

startTheme(repaintCharts)
startFind()
watch(document.getElementById('page-name') === null ? startOverview() : startPageView())
