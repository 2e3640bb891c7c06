/* What makes the served page follow its runs. Without scripts it reloads itself whole. */
#include "report/serve_int.h"

static const char script[] =
    "(function(){'use strict';\n"
    "var d=document,w=window,tag=d.currentScript.dataset.tag,box=null,said='',news=new Date(),timer=0,asking=false;\n"
    "function all(q){return [].slice.call(d.querySelectorAll(q));}\n"
    "function say(text,bad){\n"
    " var top=d.querySelector('header.top');if(!top)return;\n"
    " if(!box){box=d.createElement('p');box.id='live';box.setAttribute('role','status');}\n"
    " if(box.parentNode!==top)top.appendChild(box);\n"
    " box.className=bad?'note':'soft';if(text!==said){said=text;box.textContent=text;}}\n"
    "function key(e){var s=e.closest('section'),t=e.querySelector('summary');return(s?s.id:'')+'|'+(t?t.textContent:'');}\n"
    /* Things are found again by their place among their kind, opened parts by their heading, a slider by its step: at the newest it stays there. */
    "function keep(){\n"
    " var open={},slide=[],roll=all('.scroll,.reel,pre.log,nav ul').map(function(e){return[e.scrollLeft,e.scrollTop];}),foci=all('a,button,input,summary,[tabindex]');\n"
    " all('details').forEach(function(e){open[key(e)]=e.open;});\n"
    " all('.over-time').forEach(function(e){var i=e.querySelector('input[type=range]');slide.push(i&&i.value!==i.max?Number(e.dataset.steps.split(' ')[Number(i.value)]):null);});\n"
    " return{x:w.scrollX,y:w.scrollY,open:open,slide:slide,roll:roll,focus:foci.indexOf(d.activeElement),n:foci.length};}\n"
    "function restore(k){\n"
    " all('details').forEach(function(e){if(k.open[key(e)])e.open=true;});\n"
    " all('.over-time').forEach(function(e,n){var i=e.querySelector('input[type=range]'),at=k.slide[n];if(!i||at===null||at===undefined)return;\n"
    "  e.dataset.steps.split(' ').forEach(function(s,m){if(Number(s)<=at)i.value=String(m);});});\n"
    " var run=d.body.querySelector('script');if(run){var s=d.createElement('script');s.textContent=run.textContent;run.replaceWith(s);}\n"
    " all('.scroll,.reel,pre.log,nav ul').forEach(function(e,n){if(k.roll[n]){e.scrollLeft=k.roll[n][0];e.scrollTop=k.roll[n][1];}});\n"
    " var foci=all('a,button,input,summary,[tabindex]');if(k.focus>=0&&foci.length===k.n)foci[k.focus].focus({preventScroll:true});\n"
    " w.scrollTo({left:k.x,top:k.y,behavior:'instant'});}\n"
    "function take(html){\n"
    " var next=new DOMParser().parseFromString(html,'text/html'),k=keep();\n"
    " if(!next.body.querySelector('main'))throw new Error('not a report');\n"
    " d.title=next.title;d.documentElement.replaceChild(d.importNode(next.body,true),d.body);restore(k);}\n"
    "function hour(t){return t.toLocaleTimeString();}\n"
    "function later(ms){clearTimeout(timer);timer=setTimeout(ask,ms);}\n"
    "function inUse(){var s=w.getSelection();return d.querySelector('input:active')||(s&&!s.isCollapsed&&String(s));}\n"
    "function ask(){\n"
    " if(asking)return;\n"
    " if(d.hidden){later(1000);return;}\n"
    " if(inUse()){say('New figures wait while text is marked or the slider is held.');later(500);return;}\n"
    " var t=performance.now();asking=true;\n"
    " fetch('/',{headers:{'If-None-Match':'\"'+tag+'\"'},cache:'no-store',credentials:'omit'}).then(function(r){\n"
    "  if(r.status===304)return null;\n"
    "  if(!r.ok)return r.text().then(function(why){throw new Error(why);});\n"
    "  var got=r.headers.get('ETag');return r.text().then(function(text){take(text);tag=(got||'').replace(/\"/g,'');news=new Date();});\n"
    " }).then(function(){asking=false;say('Follows the run by itself. Newest figures: '+hour(news)+'.');later(Math.min(10000,Math.max(2000,20*(performance.now()-t))));})\n"
    " .catch(function(e){asking=false;say(e instanceof TypeError?'The server has ended or cannot be reached: these are the figures of '+hour(news)+'.':'These are the figures of '+hour(news)+': '+e.message,true);later(5000);});}\n"
    "d.addEventListener('visibilitychange',function(){if(!d.hidden)ask();});\n"
    "d.addEventListener('DOMContentLoaded',function(){say('Follows the run by itself. Newest figures: '+hour(news)+'.');later(2000);});\n"
    "})();\n";

void ehm_serve_script(ehm_str *out, const char *tag) {
    ehm_str_addf(out, "<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\n<script data-tag=\"%s\">\n", tag);
    ehm_str_add(out, script);
    ehm_str_add(out, "</script>");
}
